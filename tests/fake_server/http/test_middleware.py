"""What stands around the routes: the origin guard, CORS, caching, the limit of a body."""

from __future__ import annotations

import pytest

from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Request,
    RequestReceived,
)
from tests.support.source_client import ask


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://[::1]:8188", "[::1]:8188", 200),
        ("http://[::1]:9", "[::1]:8188", 403),
        ("http://evil.example", "[::1]:8188", 403),
        ("http://app.localhost:1", "app.localhost:1", 200),
        ("http://evil.example", "app.localhost:1", 200),
        ("http://evil.example", "localhost:1", 403),
        ("http://evil.example", "127.1:8188", 403),
        ("http://evil.example", "0x7f000001", 403),
        ("http://evil.example", "2130706433", 403),
        ("http://evil.example", "0177.0.0.1", 403),
        ("http://evil.example", "128.1", 200),
        ("http://127.0.0.1:99999", "example.com", 500),
        ("http://evil.example", "192.168.0.1:8188", 200),
        ("http://evil.example", "", 200),
        ("nonsense", "127.0.0.1", 200),
        ("http://127.0.0.1:99999", "127.0.0.1:8188", 500),
        ("http://[", "127.0.0.1:8188", 500),
    ],
)
def test_the_guard_compares_host_and_origin(origin: str, host: str, status: int) -> None:
    headers = (("Host", host), ("Origin", origin))

    actions = list(
        SimulatedServer().handle(RequestReceived(1, Request("GET", "/prompt", headers)), 0)
    )

    assert actions[0].answer.status == status


def test_cors_is_on_every_answer_of_a_handler_and_not_on_what_aiohttp_refuses() -> None:
    server = SimulatedServer(ServerOptions(cors_origin="*"))

    allowed = [
        dict(ask(server, method, target).headers).get("Access-Control-Allow-Origin")
        for method, target in (
            ("GET", "/prompt"), ("GET", "/nope"), ("OPTIONS", "/x"), ("GET", "/view"),
            ("POST", "/queue"), ("PUT", "/prompt"), ("GET", "//x"),
        )
    ]  # fmt: skip

    assert allowed == ["*", "*", "*", "*", None, None, None]


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/x.js", "no-store"), ("/x.css", "no-store"), ("/index.html", None),
        ("/a/index.json", "no-store"), ("/x.png", "public, max-age=86400"), ("/prompt", None),
        ("/userdata/b.png", "public, max-age=3600"),
        ("/userdata/a.png", "public, max-age=86400"), ("/view?filename=x.png", None),
    ],
)  # fmt: skip
def test_caching_follows_from_the_path(target: str, value: str | None) -> None:
    server = SimulatedServer()
    ask(server, "POST", "/userdata/a.png", b"x")

    assert dict(ask(server, "GET", target).headers).get("Cache-Control") == value


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_body_over_the_limit_is_refused_where_a_handler_would_read_it(method: str) -> None:
    server = SimulatedServer(ServerOptions(max_upload_size=10))
    target = {"POST": "/prompt", "PATCH": "/internal/logs/subscribe", "PUT": "/nope"}[method]

    got = ask(server, method, target, b"x" * 11)

    assert (got.status, got.body) == {
        "POST": (413, b"Maximum request body size 10 exceeded."),
        "PATCH": (413, b"Maximum request body size 10 exceeded."),
        "PUT": (405, b"405: Method Not Allowed"),
    }[method]
