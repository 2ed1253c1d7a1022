"""``/system_stats``, ``/features``, ``/extensions``, and lists that are empty without custom nodes.

protocol.md, section 10; recordings ``routes`` of all versions.
"""

from __future__ import annotations

from typing import Any, Final

from fake_server.http.context import Context
from fake_server.http.responses import json_response
from fake_server.source import Request, Response

__all__ = [
    "extensions",
    "features",
    "global_subgraph",
    "no_entries",
    "system_stats",
]

_RAM_TOTAL: Final = 64 * 1024**3
_RAM_FREE: Final = 48 * 1024**3
_PYTHON: Final = "3.12.11 (main, Jun  4 2025, 08:56:18) [GCC 13.3.0]"
# package -> the version that is installed, None for one that is not; and the one that is required.
_PACKAGES: Final[dict[str, tuple[str | None, str]]] = {
    "comfyui-frontend-package": ("1.45.20", "1.45.20"),
    "comfyui-workflow-templates": ("0.11.9", "0.11.9"),
    "comfyui-embedded-docs": ("0.5.8", "0.5.8"),
    "comfy-kitchen": ("0.2.19", "0.2.19"),
    "comfy-aimdo": ("0.4.10", "0.4.10"),
}
# As captured at 0.33.0, where no templates were installed.
_NEWER_PACKAGES: Final[dict[str, tuple[str | None, str]]] = {
    "comfyui-frontend-package": ("1.49.6", "1.49.6"),
    "comfyui-workflow-templates": (None, "0.11.44"),
    "comfyui-embedded-docs": ("0.5.10", "0.5.10"),
    "comfy-kitchen": ("0.2.31", "0.2.31"),
    "comfy-aimdo": ("0.4.13", "0.4.13"),
}
# Some of the scripts that every frontend of the last years has; the full list is its own affair.
_EXTENSIONS: Final = (
    "/extensions/core/clipspace.js",
    "/extensions/core/groupNode.js",
    "/extensions/core/widgetInputs.js",
)


def system_stats(context: Context, request: Request) -> Response:
    """GET /system_stats: 64 GiB of memory, mostly free."""
    era = context.era
    packages = _NEWER_PACKAGES if era.has("newer_packages") else _PACKAGES
    known: dict[str, Any] = {"os": "linux" if era.has("platform_names") else "posix"}
    if era.has("internal_routes"):
        version = era.reported if era.has("value_wrapper") else "unknown"
        known |= {"ram_total": _RAM_TOTAL, "ram_free": _RAM_FREE, "comfyui_version": version}
    if era.has("frontend_version"):
        known["required_frontend_version"] = packages["comfyui-frontend-package"][1]
    if era.has("templates_version"):
        installed, required = packages["comfyui-workflow-templates"]
        known["installed_templates_version"] = installed
        known["required_templates_version"] = required
    if era.has("package_versions"):
        known["comfy_package_versions"] = [
            {"name": name, "installed": installed, "required": required}
            for name, (installed, required) in packages.items()
        ]
    known["python_version"] = _PYTHON
    if era.has("internal_routes"):
        known["pytorch_version"] = "2.8.0+cu128"
    known["embedded_python"] = False
    if era.has("usage_source"):
        known["deploy_environment"] = "local-git"
    if era.has("internal_routes"):
        known["argv"] = list(context.options.argv)
    # A server without a graphics card, as ``--cpu`` starts it.
    device: dict[str, Any] = {"name": "cpu", "type": "cpu", "index": None}
    for name in ("vram_total", "vram_free", "torch_vram_total", "torch_vram_free"):
        device[name] = _RAM_TOTAL if name.endswith("total") else _RAM_FREE
    return json_response({"system": known, "devices": [device]})


def features(context: Context, request: Request) -> Response:
    """GET /features: what the socket's ``feature_flags`` say."""
    return json_response(context.engine.features())


def extensions(context: Context, request: Request) -> Response:
    """GET /extensions: scripts that a frontend loads."""
    scripts = context.options.extension_scripts
    return json_response(list(_EXTENSIONS if scripts is None else scripts))


def no_entries(context: Context, request: Request) -> Response:
    """Lists that are empty without custom nodes: /i18n, /workflow_templates, ..."""
    return json_response({})


def global_subgraph(context: Context, request: Request, subgraph_id: str) -> Response:
    """GET /global_subgraphs/{subgraph_id}: ``null``, since there are none."""
    return json_response(None)
