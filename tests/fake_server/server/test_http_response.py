"""Answers as bytes: chunks, lengths, connections, HEAD."""

from __future__ import annotations

import pytest

from fake_server.server.http_response import rendered
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Respond,
    Response,
)
from tests.support.scripted_source import Plain, Scripted, Start
from tests.support.source_client import (
    ask,
)


class _Asked:
    """As much of an aiohttp request as rendering looks at."""

    def __init__(self, method: str, version: tuple[int, int]) -> None:
        self.method, self.version = method, version


@pytest.mark.parametrize(
    ("method", "version", "stays", "has", "lacks"),
    [
        ("GET", (1, 1), True, b"Transfer-Encoding", b"Connection"),
        ("GET", (1, 1), False, b"Connection: close", b"keep-alive"),
        ("GET", (1, 0), True, b"Connection: keep-alive", b"Transfer-Encoding"),
        ("GET", (1, 0), False, b"404", b"Connection"),
        ("HEAD", (1, 0), False, b"404", b"Transfer-Encoding"),
        ("GET", (2, 0), False, b"404", b"Connection"),
    ],
)
def test_chunks_and_connections_are_told_as_the_version_has_it(
    method: str, version: tuple[int, int], stays: bool, has: bytes, lacks: bytes
) -> None:
    answer = ask(SimulatedServer(), "GET", "/none")

    raw = b"".join(rendered(answer, _Asked(method, version), stays))  # type: ignore[arg-type]  # enough of one

    assert has in raw
    assert lacks not in raw


def test_head_keeps_the_type_that_a_route_gave_and_drops_the_guess() -> None:
    server = SimulatedServer()
    ask(server, "POST", "/userdata/d%2Fx", b"1")

    heads = [
        b"".join(rendered(ask(server, "HEAD", target), _Asked("HEAD", (1, 1)), True))  # type: ignore[arg-type]  # enough of one
        for target in ("/userdata/d", "/none")
    ]

    assert [b"octet-stream" in head for head in heads] == [True, False]


GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_head", "connection", "open_after"),
    [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", None, True),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "close", False),
        ("GET / HTTP/1.0\r\nHost: x\r\n\r\n", None, False),
        ("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", "keep-alive", True),
    ],
)
def test_a_connection_is_kept_as_http_says(
    start: Start, request_head: str, connection: str | None, open_after: bool
) -> None:
    _, handle = start()

    with Plain(handle.port) as client:
        _, fields, _ = client.ask(request_head)
        client.sock.settimeout(0.2 if open_after else 10)
        try:
            closed = client.sock.recv(1) == b""
        except TimeoutError:
            closed = False

    assert fields.get("connection") == connection
    assert closed is not open_after


def test_an_answer_may_close_its_connection(start: Start) -> None:
    _, handle = start(
        Scripted(RequestReceived=lambda h, _: [Respond(h.exchange, Response(500, close=True))])
    )

    with Plain(handle.port) as client:
        status, fields, _ = client.ask(GET)
        rest = client.rest()

    assert (status, fields["connection"], rest) == (500, "close", b"")
