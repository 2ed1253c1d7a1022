"""Our table of routes against aiohttp's own dispatcher, filled from the same table."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from comfyrec.http.routes import ROUTES, Route
from comfyrec.versions import era_of
from fake_server.http.context import Handler
from fake_server.http.middleware import answer
from fake_server.http.responses import json_response
from fake_server.http.routes import HANDLERS, INTERNAL, handler_of, routes_of
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE")
PATHS = (
    "/", "/api", "/api/", "/prompt", "/prompt/", "/PROMPT", "/%70rompt", "//prompt", "/api/prompt",
    "/api/api/prompt", "/queue", "/history", "/history/", "/history/abc", "/history/a%2Fb",
    "/history/a/b", "/history/%20", "/history/%C3%BC", "/history/a+b", "/interrupt", "/free",
    "/api/jobs", "/jobs", "/api/api/jobs", "/api/jobs/x", "/api/jobs/cancel", "/api/jobs/x/cancel",
    "/api/jobs/cancel/cancel", "/api/jobs/", "/api/jobs/x/y", "/view", "/view_metadata/loras",
    "/view_metadata/", "/upload/image", "/upload/mask", "/upload", "/object_info",
    "/object_info/KSampler", "/object_info/Primitive%20boolean%20%5BCrystools%5D", "/models",
    "/models/loras", "/experiment/models/preview/loras/0/a/b.png",
    "/experiment/models/preview/loras/0/", "/experiment/models/preview/loras/0", "/settings",
    "/settings/a.b", "/settings/a%2Fb", "/userdata", "/userdata/a%2Fb.json", "/userdata/a/b.json",
    "/userdata/a%2Fb/move/c%2Fd", "/userdata/a/move/", "/v2/userdata", "/internal/logs",
    "/api/internal/logs", "/internal/logs/raw", "/internal/logs/subscribe", "/internal/nope",
    "/internal", "/internal/", "/internal/files/input", "/internal/files/", "/api/assets",
    "/assets/x", "/nope", "/nope/deeper", "/a%00b", "/..", "/../prompt", "/./prompt",
    "/a/../prompt",
    "/%2e%2e/x", "/api/../prompt", "/favicon.ico", "/global_subgraphs/", "/users",
    "/api/assets/123e4567-e89b-12d3-a456-426614174000", "/api/assets/not-one/tags",
    "/api/assets/hash/x", "/api/assets/seed", "/templates", "/templates/", "/templates/a/b.json",
    "/api/templates/x", "/%69nternal/x", "/internal%2Flogs",
    "/prompt?x=1", "/prompt;x", "/history/{id}", "/history/%7Bid%7D", "/api/tags",
)  # fmt: skip
EVERY = list(itertools.product(METHODS, PATHS))


def _named(path: str):
    async def handler(request: web.Request) -> web.Response:
        return web.json_response([path, dict(request.match_info)])

    return handler


def _defined(route: Route, path: str) -> web.RouteDef:
    path = path.replace("*}", ":.*}").replace(":uuid}", ":[0-9a-fA-F-]{36}}")
    if route.method == "GET":
        return web.get(path, _named(route.path))  # which answers HEAD too
    return web.route(route.method, path, _named(route.path))


async def _found_by_aiohttp(root: Path) -> list[tuple[int, str, bytes]]:
    app, inner = web.Application(), web.Application()
    for route in ROUTES:
        if route.path.startswith(INTERNAL):
            inner.add_routes([_defined(route, route.path.removeprefix(INTERNAL))])
    app.add_subapp(INTERNAL, inner)
    for prefix in ("/api", ""):
        for route in ROUTES:
            path = f"/api{route.path}" if route.api is True else route.path
            if not route.path.startswith(INTERNAL) and not (prefix and route.api is False):
                app.add_routes([_defined(route, prefix + path)])
    app.add_routes([web.static("/", root)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    found = []
    async with aiohttp.ClientSession() as session:
        for method, path in EVERY:
            url = URL(base + path, encoded=True)
            async with session.request(method, url) as got:
                found.append((got.status, got.headers.get("Allow", ""), await got.read()))
    await runner.cleanup()
    return found


@pytest.fixture(scope="module")
def aiohttps(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, bytes]]:
    return asyncio.run(_found_by_aiohttp(tmp_path_factory.mktemp("root")))


@pytest.mark.slow
def test_a_path_leads_where_aiohttp_finds_it(
    aiohttps: list[tuple[int, str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def named(route: Route) -> Handler:
        return lambda context, request, **params: json_response([route.path, params])

    monkeypatch.setattr("fake_server.http.middleware.handler_of", named)
    context = SimulatedServer().context

    different = []
    for (method, path), (status, allow, body) in zip(EVERY, aiohttps, strict=True):
        ours = answer(context, Request(method, path, (("Host", "127.0.0.1"),)))
        got = (
            ours.status,
            dict(ours.headers).get("Allow", ""),
            b"" if method == "HEAD" else ours.body,
        )
        if got != (status, allow, body):
            different.append((method, path, got, (status, allow, body)))

    assert not different


def test_the_routes_of_a_version_are_made_once() -> None:
    assert routes_of(era_of()) is routes_of(era_of())


def test_each_route_has_a_handler_and_no_handler_is_left_over() -> None:
    routes = {f"{route.method} {route.path}" for route in ROUTES}

    assert set(HANDLERS) == routes


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_handler_takes_the_variable_parts_of_its_path_by_name(route: Route) -> None:
    parts = dict.fromkeys(re.findall(r"{(\w+)", route.path), "x")

    inspect.signature(handler_of(route)).bind(None, None, **parts)
