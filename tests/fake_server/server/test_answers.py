"""Answers in pieces: what leaves when, in which coding, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.source import (
    Action,
    HangUp,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Wake,
)
from tests.support.scripted_source import Plain, Scripted, Start, wait_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = Response(headers=(("Content-Type", "text/event-stream"),), body=b"one")


def _pieces(*more: bytes, sized: int | None = None) -> Any:
    """One piece with the answer, and one for each waking."""
    left: list[tuple[int, bytes, bool]] = []

    def asked(happened: Any, now: int) -> list[Action]:
        number = happened.exchange
        left.extend((number, data, at == len(more) - 1) for at, data in enumerate(more))
        fields = () if sized is None else (("Content-Length", str(sized)),)
        answer = Response(headers=(*HEAD.headers, *fields), body=HEAD.body)
        return [Respond(number, answer, more=True), Wake(now + 1_000)]

    def woke(happened: Any, now: int) -> list[Action]:
        if not left:
            return []
        return [RespondMore(*left.pop(0)), Wake(now + 1_000)]

    return Scripted(RequestReceived=asked, Woke=woke)


def _asked(start: Start, source: Any, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer, the connection closed behind it."""
    _, handle = start(source)
    with Plain(handle.port) as client:
        client.send(request)
        head, _, body = client.rest().partition(b"\r\n\r\n")
    return head, body


CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def test_pieces_are_chunks_as_they_were_told(start: Start) -> None:
    head, body = _asked(start, _pieces(b"two", b"", b"three"), CLOSE)

    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


def test_pieces_of_a_known_length_are_no_chunks(start: Start) -> None:
    head, body = _asked(start, _pieces(b"two", sized=6), CLOSE)

    assert b"Transfer-Encoding" not in head
    assert b"Content-Length: 6" in head
    assert body == b"onetwo"


def test_a_client_of_http_1_0_gets_no_chunks_and_reads_to_the_end(start: Start) -> None:
    head, body = _asked(start, _pieces(b"two"), b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")

    assert b"chunked" not in head
    assert body == b"onetwo"


def test_whoever_asks_for_the_head_alone_gets_it_at_once(start: Start) -> None:
    head, body = _asked(start, _pieces(b"two"), CLOSE.replace(b"GET", b"HEAD"))

    assert b"200 OK" in head
    assert body == b""


def test_the_connection_goes_on_behind_the_last_piece(start: Start) -> None:
    _, handle = start(_pieces(b"two"))

    with Plain(handle.port) as client:
        for _ in range(2):
            client.send(GET)
            said = client.until(b"0\r\n\r\n")

    assert said.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


def test_an_answer_may_be_cut_in_its_middle(start: Start) -> None:
    def asked(happened: Any, now: int) -> list[Action]:
        number = happened.exchange
        return [Respond(number, HEAD, more=True), RespondMore(number, b"two"), HangUp(number)]

    _, body = _asked(start, Scripted(RequestReceived=asked), GET)

    assert body == b"3\r\none\r\n3\r\ntwo\r\n"


@pytest.mark.parametrize("request_line", [b"GET", b"POST"])
def test_a_client_that_leaves_in_the_middle_is_told_of(start: Start, request_line: bytes) -> None:
    def asked(happened: Any, now: int) -> list[Action]:
        return [Respond(happened.exchange, HEAD, more=True)]

    source, handle = start(Scripted(RequestReceived=asked))
    with Plain(handle.port) as client:
        # A body in chunks goes the long way, through aiohttp.
        body = b"Transfer-Encoding: chunked\r\n\r\n0\r\n" if request_line == b"POST" else b""
        client.send(request_line + b" / HTTP/1.1\r\nHost: x\r\n" + body + b"\r\n")
        client.until(b"one")

    wait_until(handle, lambda: any(isinstance(h, RequestAborted) for h in source.happened))
    assert [type(h) for h in source.happened] == [RequestReceived, RequestAborted]


def test_pieces_for_nobody_are_dropped(start: Start) -> None:
    def asked(happened: Any, now: int) -> list[Action]:
        number = happened.exchange
        return [
            RespondMore(number, b"early"),
            RespondMore(99, b"?"),
            Respond(number, Response(204)),
        ]

    _, handle = start(Scripted(RequestReceived=asked))

    with Plain(handle.port) as client:
        status, _, body = client.ask(GET.decode())

    assert (status, body) == (204, b"")


def test_a_field_that_ends_its_line_is_not_written(start: Start) -> None:
    def asked(happened: Any, now: int) -> list[Action]:
        answer = Response(headers=(("X-Bad", "a\r\nb"),), body=b"one")
        return [Respond(happened.exchange, answer, more=True)]

    _, handle = start(Scripted(RequestReceived=asked))

    with Plain(handle.port) as client:
        client.send(GET)
        assert client.rest() == b""
