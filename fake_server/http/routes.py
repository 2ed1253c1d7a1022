"""Method and path -> the handler: what answers each route of ``comfyrec.http.routes``.

How a path finds its route: protocol.md, sections 1, 10 and 11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

import msgspec

from comfyrec.http.request import Target
from comfyrec.http.routes import ROUTES, Route
from comfyrec.versions import Era
from fake_server.http import (
    frontend,
    history,
    internal,
    jobs,
    models,
    prompts,
    system,
    upload,
    userdata,
    users,
    view,
)
from fake_server.http.assets.handlers import ASSET_HANDLERS
from fake_server.http.context import Context, Handler
from fake_server.source import Request, Response

__all__ = ["HANDLERS", "INTERNAL", "Found", "Routes", "handler_of", "routes_of"]


def _unreachable(context: Context, request: Request) -> Response:
    raise AssertionError("a websocket is let in before its route is asked")


HANDLERS: Final[dict[str, Handler]] = {
    "GET /ws": _unreachable,
    "GET /": frontend.root,
    # the worker
    "GET /prompt": prompts.get_prompt,
    "POST /prompt": prompts.post_prompt,
    "GET /queue": prompts.get_queue,
    "POST /queue": prompts.post_queue,
    "GET /history": history.get_history,
    "GET /history/{prompt_id}": history.get_history_of,
    "POST /history": history.post_history,
    "POST /interrupt": prompts.post_interrupt,
    "POST /free": prompts.post_free,
    "GET /jobs": jobs.get_jobs,
    "GET /jobs/{job_id}": jobs.get_job,
    "POST /jobs/{job_id}/cancel": jobs.cancel_job,
    "POST /jobs/cancel": jobs.cancel_jobs,
    "GET /node_replacements": models.node_replacements,
    # files
    "GET /view": view.view,
    "GET /view_metadata/{folder}": view.view_metadata,
    "POST /upload/image": upload.upload_image,
    "POST /upload/mask": upload.upload_mask,
    # what there is
    "GET /object_info": models.object_info,
    "GET /object_info/{class_type}": models.object_info_class,
    "GET /embeddings": models.embeddings,
    "GET /models": models.folders,
    "GET /models/{folder}": models.folder,
    "GET /experiment/models": models.experiment_folders,
    "GET /experiment/models/{folder}": models.experiment_folder,
    "GET /experiment/models/preview/{folder}/{index}/{file*}": models.experiment_preview,
    "GET /extensions": system.extensions,
    "GET /system_stats": system.system_stats,
    "GET /features": system.features,
    "GET /i18n": system.no_entries,
    "GET /workflow_templates": system.no_entries,
    "GET /global_subgraphs": system.no_entries,
    "GET /global_subgraphs/{subgraph_id}": system.global_subgraph,
    # users
    "GET /users": users.get_users,
    "POST /users": users.add_user,
    "GET /settings": users.get_settings,
    "POST /settings": users.post_settings,
    "GET /settings/{setting}": users.get_setting,
    "POST /settings/{setting}": users.post_setting,
    "GET /userdata": userdata.listing,
    "GET /v2/userdata": userdata.list_v2,
    "GET /userdata/{file}": userdata.get,
    "POST /userdata/{file}": userdata.post,
    "DELETE /userdata/{file}": userdata.delete,
    "POST /userdata/{file}/move/{destination}": userdata.move,
    "GET /templates/{path*}": frontend.template,
    "GET /internal/logs": internal.logs,
    "GET /internal/logs/raw": internal.raw_logs,
    "PATCH /internal/logs/subscribe": internal.subscribe,
    "GET /internal/folder_paths": internal.folder_paths,
    "GET /internal/files/{directory}": internal.files,
    **ASSET_HANDLERS,
}
"""By method and path."""
INTERNAL: Final = "/internal"
_SEGMENTS: Final = {
    "": re.compile(r"[^{}]+"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
}


class Found(msgspec.Struct, frozen=True):
    """What a path leads to: a route and its variable parts, or what else the path would take."""

    route: Route | None
    params: dict[str, str] = {}
    allowed: tuple[str, ...] = ()
    """Methods that routes of this path have; HEAD comes with GET."""


class Routes:
    """The routes of one era, looked up by target."""

    def __init__(self, rows: Iterable[tuple[str, Route]]) -> None:
        self._exact: dict[str, dict[str, Found]] = {}
        # first segments of a pattern -> the patterns that begin like that, in their order
        self._patterns: dict[tuple[str, str], list[_Pattern]] = {}
        for path, route in rows:
            by_method = self._place_for(path)
            by_method.setdefault(route.method, Found(route))
            if route.method == "GET":
                by_method.setdefault("HEAD", Found(route))

    def _place_for(self, path: str) -> dict[str, Found]:
        if "{" not in path:
            return self._exact.setdefault(path, {})
        segments = path.split("/")
        beside = self._patterns.setdefault((segments[1], segments[2]), [])
        for pattern in beside:
            if pattern.segments == segments:
                return pattern.by_method
        beside.append(_Pattern(segments, {}))
        return beside[-1].by_method

    def find(self, method: str, target: Target) -> Found:
        """Look a path up. The first route that fits path and method has it, as in aiohttp."""
        exact = self._exact.get(target.raw_path)
        if exact is not None and method in exact:
            return exact[method]
        decoded = ["", *(("api",) if target.prefixed else ()), *target.segments]
        allowed: dict[str, None] = {}
        # A slash that is written as %2F is part of a name and divides nothing.
        divided = not any("/" in segment for segment in target.segments)
        exact = self._exact.get("/".join(decoded)) if divided else None
        if exact is not None:
            if method in exact:
                return exact[method]
            allowed |= dict.fromkeys(exact)
        for pattern in self._beside(decoded):
            params = pattern.fits(decoded)
            if params is not None:
                if method in pattern.by_method:
                    return Found(pattern.by_method[method].route, params)
                allowed |= dict.fromkeys(pattern.by_method)
        return Found(None, {}, tuple(allowed))

    def _beside(self, decoded: list[str]) -> Iterator[_Pattern]:
        """The patterns whose first segments are these, or this and a variable."""
        if len(decoded) > 2:
            for (first, second), patterns in self._patterns.items():
                if first == decoded[1] and (second == decoded[2] or second.startswith("{")):
                    yield from patterns


class _Pattern(msgspec.Struct):
    segments: list[str]
    by_method: dict[str, Found]

    def fits(self, decoded: list[str]) -> dict[str, str] | None:
        """The variable parts of a path, None when it is not of this pattern."""
        pattern = self.segments
        takes_all = pattern[-1].endswith("*}")
        if len(pattern) > len(decoded) or (len(pattern) < len(decoded) and not takes_all):
            return None
        params = {}
        for wanted, segment in zip(pattern, decoded, strict=False):
            if wanted.startswith("{"):
                name, _, kind = wanted.strip("{*}").partition(":")
                if not wanted.endswith("*}") and not _SEGMENTS[kind].fullmatch(segment):
                    return None
                params[name] = segment
            elif wanted != segment:
                return None
        if takes_all:
            params[pattern[-1].strip("{*}")] = "/".join(decoded[len(pattern) - 1 :])
        return params


@cache
def routes_of(era: Era) -> Routes:
    """The routes that an era has, with and without ``/api``."""
    return Routes(_paths(era))


def _paths(era: Era) -> Iterator[tuple[str, Route]]:
    for route in ROUTES:
        if route.since is None or era.has(route.since):
            if route.api is not True:
                yield route.path, route
            if route.api is not False:
                yield f"/api{route.path}", route
            if route.api is True:  # written so in ComfyUI's table, which gets a second prefix
                yield f"/api/api{route.path}", route


def handler_of(route: Route) -> Handler:
    """What answers a route."""
    return HANDLERS[f"{route.method} {route.path}"]
