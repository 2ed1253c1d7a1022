"""One connection on the fast path: its requests, what is handed on, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

from fake_server.server.clock import MAX
from fake_server.server.fast_path.connection import IDLE_S, FastConnection, FastExchange
from fake_server.server.thread import serve
from fake_server.source import (
    Action,
    HangUp,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Wake,
)
from tests.support.plain_heads import HEADS
from tests.support.scripted_source import Plain, Scripted, Start, wait_until


def asked(source: Scripted) -> list[Request]:
    return [one.request for one in source.happened if isinstance(one, RequestReceived)]


@pytest.mark.parametrize("answer", [
    Response(), Response(204), Response(404, (("Content-Type", "text/plain"),), b"no"),
    Response(200, (("Transfer-Encoding", "chunked"),), b"abc"), Response(500, (), b"x", close=True),
    Response(200, (("Content-Length", "3"), ("Date", "today")), b"abc"),
    Response(418, (), b"short", "I am a teapot"),
])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("connection", ["", "Connection: close\r\n", "Connection: keep-alive\r\n"])
def test_an_answer_is_the_same_byte_for_byte_whoever_read_the_request(
    start: Start, answer: Response, method: str, connection: str
) -> None:
    source, handle = start(Scripted(RequestReceived=lambda h, _: [Respond(h.exchange, answer)]))
    head = f"{method} /a?b=c HTTP/1.1\r\nHost: x\r\n{connection}Content-Length: 2\r\n"

    with Plain(handle.port) as plain, Plain(handle.port) as odd:
        got = []
        for client, more in ((plain, "X-Odd: 1\r\n\r\nab"), (odd, "X_Odd: 1\r\n\r\nab")):
            client.send((head + more).encode())
            got.append(client.answer(method) if not answer.close else client.rest())

    first, second = asked(source)
    assert first.headers[:-1] == second.headers[:-1]
    assert (first.method, first.target, first.body) == (second.method, second.target, second.body)
    assert len(got) == 2
    assert _undated(got[0]) == _undated(got[1])


def _undated(got: Any) -> Any:
    if isinstance(got, bytes):
        return [line for line in got.split(b"\r\n") if not line.startswith(b"Date: ")]
    status, fields, body = got
    return status, list(fields), {**fields, "date": fields["date"][-3:]}, body


def test_a_body_may_come_in_pieces(start: Start) -> None:
    source, handle = start()

    with Plain(handle.port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", b"a", b"b", b"c"):
            client.send(piece)
        assert client.answer()[2] == b"abc"
        assert client.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200

    assert [one.body for one in asked(source)] == [b"abc", b""]


def test_all_kinds_of_requests_follow_each_other_on_one_connection(start: Start) -> None:
    source, handle = start()
    plain = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
    chunked = (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\n\r\n"
    )
    large = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000

    with Plain(handle.port) as client:
        client.send(plain % 1 + plain % 2 + chunked % 3 + plain % 4 + large + chunked % 5)
        bodies = [client.answer()[2] for _ in range(6)]
        assert "101 Switching" in client.upgrade()
        client.say(1, b"hello")
        client.say(8, b"\x03\xe8")
        client.rest()

    assert [body[:1] for body in bodies] == [b"1", b"2", b"3", b"4", b"x", b"5"]
    assert len(bodies[4]) == 100_000
    assert source.sockets == []


def test_what_comes_behind_a_request_that_waits_is_answered_behind_it(start: Start) -> None:
    waiting: list[int] = []

    def later(happened: Any, now: int) -> list[Action]:
        if happened.request.target == "/":
            return [Respond(happened.exchange, Response(200, (), happened.request.body))]
        waiting.append(happened.exchange)
        return [Wake(now + 1_000)]

    source, handle = start(
        Scripted(
            RequestReceived=later,
            Woke=lambda h, _: [Respond(waiting.pop(), Response(200, (), b"late"))],
        ),
        speed=0,
    )

    with Plain(handle.port) as client:
        client.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        for number in range(3):
            body = b"%d" % number * 40_000
            client.send(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
        wait_until(handle, lambda: waiting)
        handle.call(handle.server.clock.advance, 1_000)
        assert client.answer()[2] == b"late"
        sizes = [len(client.answer()[2]) for _ in range(3)]

    assert sizes == [40_000] * 3
    assert len(asked(source)) == 4


def test_a_client_that_does_not_read_its_answers_is_not_read_from(start: Start) -> None:
    big = Response(200, (), bytes(4 * 1024 * 1024))
    source, handle = start(
        Scripted(RequestReceived=lambda h, _: [Respond(h.exchange, big)]), speed=MAX
    )

    with Plain(handle.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        assert len(client.answer()[2]) == len(big.body)
        assert handle.call(lambda: len(asked(source))) < 20
        for _ in range(19):
            client.answer()

    assert len(asked(source)) == 20


@pytest.mark.parametrize("more", ["", "X_Odd: 1\r\n"], ids=["plain", "odd"])
@pytest.mark.parametrize("target", ["/", "/__fake__/"])
def test_a_bug_of_ours_is_a_500_and_the_next_connection_is_served(
    more: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        if broke:
            raise ZeroDivisionError("a bug")
        return Response()

    handle = serve(Scripted(RequestReceived=broken))
    handle.server.control = broken
    broke = True

    with Plain(handle.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        assert client.rest().startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    broke = False
    with Plain(handle.port) as client:
        assert client.ask(f"GET /__fake__/ HTTP/1.1\r\nHost: x\r\n{more}\r\n")[0] == 200

    assert "a bug" in caplog.text
    with pytest.raises(ZeroDivisionError) if target == "/" else contextlib.nullcontext():
        handle.close()


@pytest.mark.parametrize("broken", [
    b"BAD\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
])  # fmt: skip
def test_a_good_request_falls_with_a_broken_one_that_came_with_it(
    start: Start, broken: bytes
) -> None:
    source, handle = start()

    with Plain(handle.port) as client:
        client.send(HEADS[0] + broken)
        assert client.rest().startswith(b"HTTP/1.0 400 ")

    assert asked(source) == []


@pytest.mark.parametrize("more", ["", "X_Odd: 1\r\n"], ids=["plain", "odd"])
@pytest.mark.parametrize("ending", ["\r", "\n", "\0"])
def test_an_answer_with_a_field_that_would_end_its_line_is_not_written(
    start: Start, ending: str, more: str
) -> None:
    answer = Response(200, (("Content-Disposition", f'filename="a{ending}b"'),), b"abc")
    _, handle = start(Scripted(RequestReceived=lambda h, _: [Respond(h.exchange, answer)]))

    with Plain(handle.port) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        assert client.rest() == b""


def test_an_odd_request_behind_a_cut_one_is_not_read(start: Start) -> None:
    source, handle = start(Scripted(RequestReceived=lambda h, _: [HangUp(h.exchange)]))

    with Plain(handle.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        assert client.rest() == b""

    assert len(asked(source)) == 1


def test_a_client_that_leaves_is_told_of_once(start: Start) -> None:
    source, handle = start(Scripted(RequestReceived=lambda h, _: ()))

    with Plain(handle.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(handle, lambda: source.happened)
    wait_until(handle, lambda: len(source.happened) > 1)

    assert [type(one) for one in source.happened] == [RequestReceived, RequestAborted]


# --- without a network ---------------------------------------------------------------------------


class Transport(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5)})
        self.done: list[str] = []

    def is_closing(self) -> bool:
        return "close" in self.done

    def close(self) -> None:
        self.done.append("close")

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.done.append("hand over")


class Loop:
    """A loop whose time a test sets, and whose timers it rings."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Any:
        self.timers.append((when, call))
        return self

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def cancel(self) -> None:
        self.timers.clear()

    def ring(self) -> None:
        self.now, call = self.timers.pop()
        call()


def answer_at_once(exchange: FastExchange, request: Request) -> None:
    exchange.stays = True
    exchange.finish()


def connected(ask: Callable[..., None]) -> tuple[FastConnection, Loop, Transport]:
    loop, transport = Loop(), Transport()
    connection = FastConnection(ask, lambda request: None, asyncio.Protocol, set(), loop=loop)  # type: ignore[arg-type]  # enough of one
    connection.connection_made(transport)
    return connection, loop, transport


def test_an_unused_connection_is_closed_and_a_used_one_is_not() -> None:
    connection, loop, transport = connected(answer_at_once)

    loop.now = IDLE_S / 2
    connection.data_received(HEADS[0])
    loop.ring()
    assert transport.done == []
    loop.ring()

    assert (loop.now, transport.done) == (1.5 * IDLE_S, ["close"])


def test_a_connection_whose_request_waits_is_in_use() -> None:
    connection, loop, transport = connected(lambda *_: None)

    connection.data_received(HEADS[0])
    for _ in range(3):
        loop.ring()
    assert transport.done == []
    connection.answered(stays=True)
    loop.ring()

    assert transport.done == ["close"]


def test_a_flood_behind_a_request_that_waits_is_not_taken_in() -> None:
    taken: list[FastExchange] = []
    connection, loop, transport = connected(lambda exchange, _: taken.append(exchange))

    connection.data_received(HEADS[0])
    for _ in range(3):
        connection.data_received(HEADS[0] * 1_000)
    assert transport.done == ["pause"]
    connection.answered(stays=True)
    loop.soon.pop()()

    assert (transport.done, len(taken)) == (["pause", "resume", "hand over"], 1)
