"""Which of Comfy Cloud's routes a request asks for."""

from __future__ import annotations

from typing import Final

from fake_server.source import Request
from fake_server.surfaces.cloud.answers import Refused, not_found

__all__ = ["OWN", "PASSED_ON", "ROUTES", "route_of"]

OWN: Final = (
    # method, path below /api, operation of the specification
    ("POST", "prompt", "executePrompt"),
    ("GET", "prompt", "getPromptInfo"),
    ("POST", "history", "manageHistory"),
    ("GET", "history_v2", "getHistory"),
    ("GET", "history_v2/{id}", "getHistoryForPrompt"),
    ("GET", "jobs", "listJobs"),
    ("GET", "jobs/{id}", "getJobDetail"),
    ("GET", "job/{id}/status", "getJobStatus"),
    ("GET", "queue", "getQueueInfo"),
    ("POST", "queue", "manageQueue"),
    ("POST", "interrupt", "interruptJob"),
    ("GET", "view", "viewFile"),
    ("POST", "upload/image", "uploadImage"),
    ("POST", "upload/mask", "uploadMask"),
    ("GET", "files/mask-layers", "getMaskLayers"),
    ("GET", "user", "getUser"),
    ("POST", "assets", "uploadAsset"),
    ("GET", "assets/remote-metadata", "getRemoteAssetMetadata"),
    ("POST", "assets/download", "createAssetDownload"),
)
PASSED_ON: Final = (
    ("GET", "object_info"),
    ("GET", "object_info/{class}"),
    ("GET", "features"),
    ("GET", "workflow_templates"),
    ("GET", "global_subgraphs"),
    ("GET", "global_subgraphs/{id}"),
    ("GET", "experiment/models"),
    ("GET", "experiment/models/{folder}"),
    ("GET", "experiment/models/preview/{folder}/{index}/{name}"),
    ("GET", "assets"),
    ("POST", "assets/from-hash"),
    ("GET", "assets/{id}"),
    ("PUT", "assets/{id}"),
    ("DELETE", "assets/{id}"),
    ("POST", "assets/{id}/tags"),
    ("DELETE", "assets/{id}/tags"),
    ("GET", "assets/tags/refine"),
    ("HEAD", "assets/hash/{hash}"),
    ("GET", "tags"),
    ("GET", "userdata"),
    ("GET", "userdata/{file}"),
    ("POST", "userdata/{file}"),
    ("DELETE", "userdata/{file}"),
    ("GET", "system_stats"),
)
"""Answered by the server behind, errors apart."""

ROUTES: Final = (*OWN, *((method, path, "") for method, path in PASSED_ON))

_SEGMENTS: Final = tuple((method, path.split("/"), name) for method, path, name in ROUTES)


def route_of(request: Request) -> tuple[str, str]:
    """The operation (empty for one that is passed on) and the id in the path.

    Raises:
        Refused: 404 or 405.
    """
    segments = list(request.parts.segments)
    allowed: list[str] = []
    found: tuple[int, str, str] | None = None
    for method, pattern, name in _SEGMENTS:
        if not _fits(pattern, segments):
            continue
        if method != request.method and (request.method, method) != ("HEAD", "GET"):
            allowed.append(method)
            continue
        # The route with the fewest places to fill in is meant: assets/download is not an id.
        places = sum(one.startswith("{") for one in pattern)
        if found is None or places < found[0]:
            id = next((s for p, s in zip(pattern, segments, strict=True) if p[0] == "{"), "")
            found = (places, name, id)
    if found is not None:
        return found[1], found[2]
    if allowed:
        methods = ", ".join(sorted(set(allowed)))
        raise Refused(405, f"this route takes {methods}", (("Allow", methods),))
    raise not_found("route")


def _fits(pattern: list[str], segments: list[str]) -> bool:
    return len(pattern) == len(segments) and all(
        bool(given) if wanted.startswith("{") else wanted == given
        for wanted, given in zip(pattern, segments, strict=True)
    )
