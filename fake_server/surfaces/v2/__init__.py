"""Comfy API v2 over the same server: jobs, assets, server-sent events.

After the published OpenAPI document, version 2.0.0 (``openapi-v2.yaml`` in Comfy-Org/docs). What it
leaves open is as in comfy-api-proxy 0.1.6; each such place says so.
"""

from fake_server.surfaces.registry import SurfaceKind
from fake_server.surfaces.v2.settings import V2Settings
from fake_server.surfaces.v2.surface import V2

__all__ = ["SURFACE"]

SURFACE = SurfaceKind(
    summary="Comfy API v2, as comfy-sdk, @comfyorg/sdk and deployments speak it",
    settings=V2Settings,
    make=V2,
    server=lambda settings: (
        {"workers_per_client": settings.parallel} if settings.parallel > 1 else {}
    ),
)
