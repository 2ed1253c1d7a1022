"""Method and path -> the handler: every route of the server, one row each.

PROTOCOL.md, sections 1, 10 and 11. Each row also answers below ``/api``, except ``/internal``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final
from urllib.parse import unquote

import msgspec

from comfyrec.versions import Era
from fake_server.http import frontend as pages
from fake_server.http import internal, models, system, upload, userdata, view
from fake_server.http import prompts as prompting
from fake_server.http import users as people
from fake_server.http.console_log import write_line
from fake_server.http.context import Context, Handler
from fake_server.http.question import RoutedRequest
from fake_server.source import Response

__all__ = ["INTERNAL", "ROUTES", "UNPREFIXED", "Found", "Route", "Routes", "routes_of"]


class Route(msgspec.Struct, frozen=True):
    """One row: ``{name}`` stands for one segment of the path, ``{name*}`` for all the rest,
    ``{name:uuid}`` for a segment that is a UUID."""

    method: str
    path: str
    handler: Handler
    since: str | None = None
    """The fact of an era that brought it; None: it has always been there."""


def _engine(asking: prompting.PromptHandler) -> Handler:
    return lambda place, ask: asking(place.engine, ask, place.now)


def _announced(asking: prompting.PromptHandler) -> Handler:
    """The server says that it has got a prompt before it looks at it."""

    def handler(place: Context, ask: RoutedRequest) -> Response:
        write_line(place, "got prompt")
        return asking(place.engine, ask, place.now)

    return handler


def _unreachable(place: Context, ask: RoutedRequest) -> Response:
    raise AssertionError("a websocket is let in before its route is asked")


_SUBMIT: Final = ("POST", "/prompt")
ROUTES: Final = (
    Route("GET", "/ws", _unreachable),
    Route("GET", "/", pages.root),
    # the worker
    *(Route(method, path, (_announced if (method, path) == _SUBMIT else _engine)(asking))
      for (method, path), asking in prompting.ROUTES.items()),
    *(Route(method, f"/api{path}", _engine(asking), "job_cancel" if "cancel" in path else "jobs")
      for (method, path), asking in prompting.JOB_ROUTES.items()),
    Route("GET", "/node_replacements", models.node_replacements, "node_replacement"),
    # files
    Route("GET", "/view", view.view),
    Route("GET", "/view_metadata/{folder}", view.view_metadata),
    Route("POST", "/upload/image", upload.upload_image),
    Route("POST", "/upload/mask", upload.upload_mask),
    # what there is
    Route("GET", "/object_info", models.object_info),
    Route("GET", "/object_info/{class}", models.object_info_class),
    Route("GET", "/embeddings", models.embeddings),
    Route("GET", "/models", models.folders, "internal_routes"),
    Route("GET", "/models/{folder}", models.folder, "internal_routes"),
    Route("GET", "/experiment/models", models.experiment_folders, "internal_routes"),
    Route("GET", "/experiment/models/{folder}", models.experiment_folder, "internal_routes"),
    Route("GET", "/experiment/models/preview/{folder}/{index}/{file*}", models.experiment_preview,
          "internal_routes"),
    Route("GET", "/extensions", system.extensions),
    Route("GET", "/system_stats", system.system_stats),
    Route("GET", "/features", system.features, "progress_state"),
    Route("GET", "/i18n", system.no_entries, "frontend_routes"),
    Route("GET", "/workflow_templates", system.no_entries, "frontend_routes"),
    Route("GET", "/global_subgraphs", system.no_entries, "global_subgraphs"),
    Route("GET", "/global_subgraphs/{id}", system.global_subgraph, "global_subgraphs"),
    # people
    Route("GET", "/users", people.get_users),
    Route("POST", "/users", people.add_user),
    Route("GET", "/settings", people.get_settings),
    Route("POST", "/settings", people.post_settings),
    Route("GET", "/settings/{id}", people.get_setting),
    Route("POST", "/settings/{id}", people.post_setting),
    Route("GET", "/userdata", userdata.listing),
    Route("GET", "/v2/userdata", userdata.list_v2, "frontend_routes"),
    Route("GET", "/userdata/{file}", userdata.get),
    Route("POST", "/userdata/{file}", userdata.post),
    Route("DELETE", "/userdata/{file}", userdata.delete),
    Route("POST", "/userdata/{file}/move/{dest}", userdata.move),
    # off
    *(Route(method, f"/api{path}", system.assets_off, "assets_events") for method, path in (
        ("GET", "/assets"), ("POST", "/assets"), ("POST", "/assets/from-hash"),
        ("HEAD", "/assets/hash/{hash}"), ("GET", "/assets/tags/refine"),
        ("POST", "/assets/seed"), ("GET", "/assets/seed/status"), ("POST", "/assets/seed/cancel"),
        ("POST", "/assets/prune"), ("GET", "/assets/{id:uuid}"), ("PUT", "/assets/{id:uuid}"),
        ("DELETE", "/assets/{id:uuid}"), ("GET", "/assets/{id:uuid}/content"),
        ("POST", "/assets/{id:uuid}/tags"), ("DELETE", "/assets/{id:uuid}/tags"), ("GET", "/tags"),
    )),
    # a world of its own: no prefix, and no static files behind it
    Route("GET", "/templates/{path*}", pages.no_template, "template_routes"),
    Route("GET", "/internal/logs", internal.logs, "internal_routes"),
    Route("GET", "/internal/logs/raw", internal.raw_logs, "internal_routes"),
    Route("PATCH", "/internal/logs/subscribe", internal.subscribe, "internal_routes"),
    Route("GET", "/internal/folder_paths", internal.folder_paths, "internal_routes"),
    Route("GET", "/internal/files/{directory}", internal.files, "frontend_routes"),
)  # fmt: skip
INTERNAL: Final = "/internal"
UNPREFIXED: Final = (INTERNAL, "/templates")
_SEGMENTS: Final = {
    "": re.compile(r"[^{}]+"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
}


class Found(msgspec.Struct, frozen=True):
    """What a path leads to: a route and its variable parts, or what else the path would take."""

    route: Route | None
    param: dict[str, str] = {}
    allowed: tuple[str, ...] = ()
    """Methods that routes of this path have; HEAD comes with GET."""


class Routes:
    """The routes of one era, looked up by raw path."""

    def __init__(self, rows: Iterator[tuple[str, Route]]) -> None:
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

    def find(self, method: str, path: str) -> Found:
        """Look a path up. The first route that fits path and method has it, as in aiohttp."""
        exact = self._exact.get(path)
        if exact is not None and method in exact:
            return exact[method]
        segments = path.split("/")
        decoded = [unquote(segment) for segment in segments] if "%" in path else segments
        allowed: dict[str, None] = {}
        # A slash that is written as %2F stands in a name and divides nothing.
        exact = self._exact.get("/".join(decoded)) if "%2f" not in path.lower() else None
        if exact is not None:
            if method in exact:
                return exact[method]
            allowed |= dict.fromkeys(exact)
        for pattern in self._beside(decoded):
            param = pattern.fits(decoded)
            if param is not None:
                if method in pattern.by_method:
                    return Found(pattern.by_method[method].route, param)
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
        param = {}
        for wanted, segment in zip(pattern, decoded, strict=False):
            if wanted.startswith("{"):
                name, _, kind = wanted.strip("{*}").partition(":")
                if not wanted.endswith("*}") and not _SEGMENTS[kind].fullmatch(segment):
                    return None
                param[name] = segment
            elif wanted != segment:
                return None
        if takes_all:
            param[pattern[-1].strip("{*}")] = "/".join(decoded[len(pattern) - 1 :])
        return param


@cache
def routes_of(era: Era) -> Routes:
    """The routes that an era has, with and without ``/api``."""
    return Routes(_rows(era))


def _rows(era: Era) -> Iterator[tuple[str, Route]]:
    for route in ROUTES:
        if route.since is None or era.has(route.since):
            yield route.path, route
            if not route.path.startswith(UNPREFIXED):
                yield f"/api{route.path}", route
