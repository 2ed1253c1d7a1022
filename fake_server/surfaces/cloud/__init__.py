"""Comfy Cloud's first API, ``/api/*`` and ``/ws?token=``, over the same simulated server.

Facts are from Comfy-Org/docs of 21 August 2026 (``openapi-cloud.yaml``, ``development/cloud``);
protocol.md, section 14.
"""

from fake_server.surfaces.cloud.settings import CloudSettings
from fake_server.surfaces.cloud.surface import Cloud
from fake_server.surfaces.registry import SurfaceKind

__all__ = ["SURFACE"]

SURFACE = SurfaceKind(
    summary="Comfy Cloud v1: /api/*, /ws with a token, job status, signed URLs",
    settings=CloudSettings,
    make=Cloud,
    server=lambda settings: {"workers_per_client": settings.parallel, "serves_assets": True},
)
