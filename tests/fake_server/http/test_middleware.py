"""What stands around the routes: the origin guard, CORS, caching, the limit of a body."""

from __future__ import annotations

import pytest

from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Request,
    RequestReceived,
    Respond,
    UpgradeRequested,
)
from tests.support.source_client import (
    HOST,
    ask,
    server_of,
)


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


LONG = "l" * 256


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/assets/123e4567-e89b-12d3-a456-426614174000", 503),
        ("GET", "/api/assets/not-a-uuid", 404),
        ("PUT", "/api/assets/not-a-uuid", 405),
        ("HEAD", "/api/assets/hash/x", 503),
        ("GET", "/api/assets/hash/x", 404),
        ("GET", "/api/assets/seed/status", 503),
        ("POST", "/api/assets/prune", 503),
        ("GET", "/%69nternal/x", 404),
        ("GET", f"/{LONG}", 500),
        ("GET", "/index.html", 200),
        ("GET", "/templates", 404),
        ("GET", "/templates/x.json", 404),
        ("GET", "/docs", 403),
        ("GET", "/experiment/models/preview/loras/+0/x", 404),
        ("GET", "/experiment/models/preview/loras/-1/x", 404),
        ("GET", "/experiment/models/preview/loras/x/y", 400),
        ("GET", "/experiment/models/preview/loras/0/", 400),
        ("GET", "/experiment/models/preview/none/x/", 404),
        ("GET", "/experiment/models/preview/loras/0/../loras/x", 404),
        ("GET", "/experiment/models/preview/loras/0/../vae/x", 403),
    ],
)
def test_a_path_gets_its_status(method: str, target: str, status: int) -> None:
    assert ask(SimulatedServer(), method, target).status == status


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("gzip, Deflate", "deflate"), ("GZIP", None), ("deflate", None)],
)
def test_answers_are_squeezed_for_those_who_write_gzip_small(
    accepted: str, coding: str | None
) -> None:
    server = server_of("0.27.0", compress_responses=True)
    header = ("Accept-Encoding", accepted)

    assert (
        dict(ask(server, "GET", "/prompt", b"", header).headers).get("Content-Encoding") == coding
    )
    broken = ask(server, "POST", "/prompt", b"{", header)
    assert (broken.status, dict(broken.headers).get("Content-Encoding")) == (500, None)


@pytest.mark.parametrize(
    ("method", "status"), [("POST", 405), ("PUT", 405), ("OPTIONS", 200), ("DELETE", 405)]
)
def test_only_a_get_can_become_a_websocket(method: str, status: int) -> None:
    knocked = UpgradeRequested(
        7, Request(method, "/ws?clientId=a", (HOST, ("Upgrade", "websocket")))
    )

    (reply,) = SimulatedServer().handle(knocked, 0)

    assert isinstance(reply, Respond)
    assert reply.answer.status == status


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 405)])
def test_who_speaks_another_api_is_told_how_to_be_understood(method: str, status: int) -> None:
    answer = ask(SimulatedServer(), method, "/api/v2/jobs", {})
    other = ask(SimulatedServer(), method, "/api/v2/other", {})

    assert answer.status == other.status == status
    assert "--surface v2" in dict(answer.headers)["X-Fake-Hint"]
    assert "X-Fake-Hint" not in dict(other.headers)
    assert answer.body == other.body


@pytest.mark.parametrize(
    ("target", "hinted"),
    [
        ("/api/job/11111111-2222-4333-8444-555555555555/status", True),
        ("/api/history_v2", True),
        ("/api/history_v2/x", True),
        ("/api/user", True),
        ("/api/job/x", False),
        ("/history_v2", False),
        ("/api/users/x", False),
    ],
)
def test_who_speaks_to_comfy_cloud_is_told_how_to_be_understood(target: str, hinted: bool) -> None:
    answer = ask(SimulatedServer(), "GET", target)

    assert answer.status == 404
    assert ("--surface cloud" in dict(answer.headers).get("X-Fake-Hint", "")) is hinted
