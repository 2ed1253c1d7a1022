"""A source as a server: requests, upgrades, what it does in which order, start and stop."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from comfyrec.errors import ScenarioError, UsageError
from comfyrec.wire.frames import message_frame
from fake_server.server.clock import MAX
from fake_server.server.thread import loop_thread, serve
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Disconnected,
    HangUp,
    Listen,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Wake,
    Woke,
)
from tests.support.scripted_source import Plain, Scripted, Start, wait_until

GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_request_comes_whole_and_its_answer_goes_back(start: Start) -> None:
    source, handle = start()

    with Plain(handle.port) as client:
        status, fields, body = client.ask(
            "POST /a%2Fb?x=1 HTTP/1.1\r\nHost: x\r\nX-Odd: ä\r\nContent-Length: 3\r\n\r\n", b"abc"
        )

    request = source.happened[0].request
    assert (request.method, request.target, request.body) == ("POST", "/a%2Fb?x=1", b"abc")
    assert ("X-Odd", "ä") in request.headers
    assert request.peer.startswith("127.0.0.1:")
    assert (status, body, fields["content-length"]) == (200, b"abc", "3")
    assert fields["server"].startswith("Python/")
    assert fields["date"].endswith(" GMT")


def test_requests_that_are_sent_together_are_answered_in_their_order(start: Start) -> None:
    _, handle = start()

    with Plain(handle.port) as client:
        for number in range(5):
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % number)
        answers = [client.answer()[2] for _ in range(5)]

    assert answers == [b"0", b"1", b"2", b"3", b"4"]


def test_time_does_not_pass_while_an_answer_is_worked_out(start: Start) -> None:
    hour = 3_600.0

    def works_for_an_hour(happened: Any, now: int) -> list[Action]:
        asked.append(now)
        loop, worked = asyncio.get_running_loop(), hour * (len(asked) % 2)
        loop.time = lambda: time.monotonic() + worked  # type: ignore[method-assign]  # in no time
        return [Respond(happened.exchange, Response())]

    asked: list[int] = []
    _, handle = start(Scripted(RequestReceived=works_for_an_hour), speed=1.0)

    with Plain(handle.port) as client:
        client.ask(GET)
        client.ask(GET)

    assert asked[1] < hour * 1_000_000


def test_an_answer_can_come_later(start: Start) -> None:
    def later(happened: Any, now: int) -> list[Action]:
        waiting.append(happened.exchange)
        return [Wake(now + 1_000_000)]

    waiting: list[int] = []
    _, handle = start(
        Scripted(
            RequestReceived=later,
            Woke=lambda h, now: [Respond(waiting.pop(), Response(200, (), b"%d" % now))],
        ),
        speed=MAX,
    )

    with Plain(handle.port) as client:
        assert client.ask(GET)[2] == b"1000000"


def test_a_client_that_leaves_before_its_answer_is_told_of(start: Start) -> None:
    source, handle = start(Scripted(RequestReceived=lambda h, _: ()))

    with Plain(handle.port) as client:
        client.send(GET.encode())
        wait_until(handle, lambda: source.happened)
    wait_until(handle, lambda: len(source.happened) > 1)

    assert isinstance(source.happened[1], RequestAborted)


def test_a_connection_can_be_cut_instead_of_an_answer_or_within_it(start: Start) -> None:
    _, nothing = start(Scripted(RequestReceived=lambda h, _: [HangUp(h.exchange)]))
    whole = Response(200, (("Content-Type", "text/plain"),), b"x" * 100)
    _, part = start(Scripted(RequestReceived=lambda h, _: [HangUp(h.exchange, whole, 30)]))

    with Plain(nothing.port) as client:
        client.send(GET.encode())
        assert client.rest() == b""
    with Plain(part.port) as client:
        client.send(GET.encode())
        assert client.rest() == b"HTTP/1.1 200 OK\r\nContent-Type:"


def test_an_error_of_ours_is_told_to_whoever_asked(start: Start) -> None:
    def wrong(happened: Any, now: int) -> list[Action]:
        raise ScenarioError("the plan names node 7, and the prompt has none")

    _, handle = start(Scripted(RequestReceived=wrong))

    with Plain(handle.port) as client:
        status, fields, body = client.ask(GET)

    assert (status, fields["x-comfyrec-error"]) == (500, "ScenarioError")
    assert b"the plan names node 7" in body


def test_a_source_that_breaks_is_not_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    def broken(happened: Any, now: int) -> list[Action]:
        raise ZeroDivisionError("a bug")

    handle = serve(Scripted(RequestReceived=broken))

    with Plain(handle.port) as client:
        assert client.ask(GET)[0] == 500

    with pytest.raises(ZeroDivisionError, match="a bug"):
        handle.close()


def test_what_is_no_http_is_refused_and_harms_nobody(start: Start) -> None:
    _, handle = start()

    with Plain(handle.port) as client:
        client.send(b"\x16\x03\x01\x02\x00 this is not a request\r\n\r\n")
        assert client.rest().startswith(b"HTTP/1.0 400 ")
    with Plain(handle.port) as client:
        assert client.ask(GET)[0] == 200


def test_it_can_speak_tls_with_a_certificate_that_nobody_trusts(start: Start) -> None:
    _, handle = start(tls=True)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    with urllib.request.urlopen(f"{handle.url}/", context=trusting, timeout=10) as answer:
        assert answer.status == 200

    # Not the blocking client: it reads and writes one TLS object in two threads, which now and then
    # (one time in some hundred) hangs, whatever the server does.
    async def ping() -> None:
        async with connect_async(f"{handle.ws_url}/ws", ssl=trusting) as ws:
            await asyncio.wait_for(await ws.ping(), 10)

    asyncio.run(ping())
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{handle.url}/", timeout=10)


def test_an_answer_leaves_before_the_frames_behind_it(start: Start) -> None:
    def react(happened: Any, now: int) -> list[Action]:
        return [
            Respond(happened.exchange, Response()),
            *(Send(tuple(source.sockets), f"{n}") for n in range(3)),
        ]

    source, handle = start(Scripted(RequestReceived=react))

    with connect(f"{handle.ws_url}/ws", compression=None) as ws, Plain(handle.port) as client:
        client.ask(GET)
        client.sock.settimeout(10)
        assert [ws.recv(10) for _ in range(3)] == ["0", "1", "2"]


def test_frames_in_front_of_an_answer_leave_before_it(start: Start) -> None:
    def react(happened: Any, now: int) -> list[Action]:
        return [Send(tuple(source.sockets), "first"), Respond(happened.exchange, Response())]

    source, handle = start(Scripted(RequestReceived=react))
    with Plain(handle.port) as listener, Plain(handle.port) as client:
        listener.upgrade()
        client.ask(GET)
        # What was written before the answer is there as soon as the answer is.
        there = listener.sock.recv(100, socket.MSG_DONTWAIT)

    assert there == message_frame("first")


def test_the_source_chooses_the_subprotocol(start: Start) -> None:
    offer = "Sec-WebSocket-Protocol: a, b\r\n"
    source, handle = start(Scripted(UpgradeRequested=lambda h, _: [Accept(h.socket, protocol="b")]))
    _, none = start()

    with Plain(handle.port) as client:
        head = client.upgrade(more=offer)
    with Plain(none.port) as client:
        head_of_none = client.upgrade(more=offer)

    assert "Sec-WebSocket-Protocol: b\r\n" in head
    assert "sec-websocket-protocol" not in head_of_none.lower()
    assert isinstance(source.happened[0], UpgradeRequested)
    assert source.happened[0].request.header("Sec-WebSocket-Protocol") == "a, b"


def test_an_upgrade_can_be_refused(start: Start) -> None:
    _, handle = start(Scripted(UpgradeRequested=lambda h, _: [Respond(h.socket, Response(403))]))

    with Plain(handle.port) as client:
        head = client.upgrade()

    assert head.startswith("HTTP/1.1 403 Forbidden\r\n")


def test_bytes_can_come_with_the_handshake_in_one_go(start: Start) -> None:
    first = b"\x81\x02hi"
    _, handle = start(Scripted(UpgradeRequested=lambda h, _: [Accept(h.socket, first=first)]))

    with Plain(handle.port) as client:
        client.upgrade()
        assert client.buffer.startswith(first)


def test_a_client_that_pings_gets_a_pong(start: Start) -> None:
    _, handle = start()

    with Plain(handle.port) as client:
        client.upgrade()
        client.say(9, b"hello")
        assert client.frame() == (0x8A, b"hello")


@pytest.mark.parametrize(
    ("sent", "code"), [(b"\x03\xe8", 1000), (b"\x0b\xb8why", 3000), (b"", 1005)]
)
def test_a_client_that_closes_is_answered_and_told_of(start: Start, sent: bytes, code: int) -> None:
    source, handle = start()

    with Plain(handle.port) as client:
        client.upgrade()
        client.say(8, sent)
        first, _ = client.frame()
        assert first == 0x88
        assert client.rest() == b""
    wait_until(handle, lambda: isinstance(source.happened[-1], Disconnected))

    assert source.happened[-1].code == code


def test_a_cut_shows_as_1006_on_either_side(start: Start) -> None:
    source, handle = start(Scripted(MessageReceived=lambda h, _: [Abort(h.socket)]))

    with connect(f"{handle.ws_url}/ws") as ws:
        ws.send("cut me")
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(10)
    with Plain(handle.port) as client:
        client.upgrade()
    wait_until(
        handle, lambda: len([h for h in source.happened if isinstance(h, Disconnected)]) == 2
    )

    assert closed.value.rcvd is None
    assert [h.code for h in source.happened if isinstance(h, Disconnected)] == [1006, 1006]


def test_a_server_can_refuse_connections_and_take_them_again(start: Start) -> None:
    source, handle = start()

    with connect(f"{handle.ws_url}/ws") as ws:
        handle.call(handle.server.carry, [Listen(accept=False)])
        with pytest.raises(ConnectionRefusedError):
            Plain(handle.port)
        handle.call(handle.server.carry, [Send(tuple(source.sockets), "still here")])
        assert ws.recv(10) == "still here"
        handle.call(handle.server.carry, [Listen(accept=True)])
        with Plain(handle.port) as client:
            assert client.ask(GET)[0] == 200


def test_it_takes_them_again_at_an_address_of_ipv6(start: Start) -> None:
    try:
        _, handle = start(host="::1")
    except UsageError:
        pytest.skip("this machine has no such address")

    handle.call(handle.server.carry, [Listen(accept=False)])
    handle.call(handle.server.carry, [Listen(accept=True)])

    with socket.create_connection((handle.host, handle.port), 10) as client:
        client.sendall(GET.encode())
        assert client.recv(12) == b"HTTP/1.1 200"


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_nothing_is_left_after_a_stop() -> None:
    thread = loop_thread()
    serve(Scripted()).close()  # what the first one opens for good is not counted
    gc.collect()
    before = _open_files()

    for _ in range(5):
        source = Scripted(
            RequestReceived=lambda h, _: (), MessageReceived=lambda h, now: [Wake(now + 10_000_000)]
        )
        handle = serve(source)
        clients = [Plain(handle.port) for _ in range(4)]
        clients[0].upgrade()
        clients[0].say(1, b"set an alarm")
        clients[1].send(GET.encode())  # never answered
        clients[2].send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
        wait_until(handle, lambda source=source: len(source.happened) >= 3)
        handle.close()
        for client in clients:
            client.sock.close()

    gc.collect()
    tasks = thread.call(lambda: [t for t in asyncio.all_tasks(thread.loop) if not t.done()])
    assert not tasks
    assert _open_files() == before


@pytest.mark.parametrize("turns", range(5))
def test_a_client_that_was_just_accepted_is_cut_by_a_stop(turns: int, start: Start) -> None:
    _, handle = start()

    async def connect_and_stop() -> socket.socket:
        client = socket.create_connection((handle.host, handle.port), timeout=5)
        for _ in range(turns):  # of the loop: until it is accepted, and then made
            await asyncio.sleep(0)
        await handle.server.stop()
        return client

    with handle.thread.run(connect_and_stop()) as client:
        try:
            left = client.recv(1)
        except ConnectionResetError:
            left = b""

    assert left == b""


def test_another_source_takes_over_with_all_connections_cut(start: Start) -> None:
    first, handle = start(speed=0.0)
    second = Scripted()

    with Plain(handle.port) as client:
        client.upgrade()
        handle.call(handle.server.clock.advance, 5_000)
        handle.call(handle.server.replace, second)
        assert client.rest() == b""
    with Plain(handle.port) as client:
        assert client.ask(GET)[0] == 200

    assert handle.call(lambda: handle.server.now) == 0
    assert [type(h) for h in second.happened] == [RequestReceived]
    assert not any(isinstance(h, Woke) for h in first.happened)


def test_small_pieces_leave_at_once(start: Start) -> None:
    source, handle = start(Scripted(RequestReceived=lambda h, _: ()))

    with Plain(handle.port) as client:
        client.send(GET.encode())
        wait_until(handle, lambda: source.happened)
        [accepted] = handle.server._fast
        assert accepted.transport is not None
        connection = accepted.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
