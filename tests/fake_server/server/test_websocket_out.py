"""Messages on their way out: frames, compression, clients that do not read."""

from __future__ import annotations

import os
import zlib
from typing import Any

import pytest
from websockets.sync.client import connect

from fake_server.server.clock import MAX
from fake_server.source import (
    Action,
    Close,
    Disconnected,
    Freeze,
    MessageReceived,
    Respond,
    Response,
    Send,
    SendPing,
    SendRaw,
    Wake,
)
from tests.support.scripted_source import Plain, Scripted, Start, wait_until

GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


SIZES = {"empty": 0, "7 bits": 125, "16 bits": 126, "most of 16 bits": 65_535, "64 bits": 65_536}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_message_arrives_as_it_was_sent(start: Start, size: int, compression: str | None) -> None:
    source, handle = start(Scripted(MessageReceived=lambda h, _: [Send((h.socket,), h.message)]))

    with connect(f"{handle.ws_url}/ws", compression=compression, max_size=None) as ws:
        for message in ("ä" * (size // 2), os.urandom(size)):
            ws.send(message)
            assert ws.recv(10) == message

    assert [type(h.message) for h in source.happened if isinstance(h, MessageReceived)] == [
        str,
        bytes,
    ]


def test_compressed_and_plain_sockets_get_the_same_messages(start: Start) -> None:
    def react(happened: Any, now: int) -> list[Action]:
        sends = [Send(tuple(source.sockets), f"{n} " * 50) for n in range(20)]
        return [*sends, Respond(happened.exchange, Response())]

    source, handle = start(Scripted(RequestReceived=react))

    with (
        connect(f"{handle.ws_url}/ws", compression=None) as plain,
        connect(f"{handle.ws_url}/ws", compression="deflate") as one,
        connect(f"{handle.ws_url}/ws", compression="deflate") as other,
        Plain(handle.port) as client,
    ):
        client.ask(GET)
        got = [[ws.recv(10) for _ in range(20)] for ws in (plain, one, other)]

    assert got[0] == [f"{n} " * 50 for n in range(20)]
    assert got[0] == got[1] == got[2]


def test_a_compressed_frame_needs_none_before_it(start: Start) -> None:
    _, handle = start(Scripted(MessageReceived=lambda h, _: [Send((h.socket,), "word " * 9)] * 2))
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

    with Plain(handle.port) as client:
        assert "permessage-deflate" in client.upgrade(more=offer)
        client.say(1, b"go")
        frames = [client.frame() for _ in range(2)]

    for first, payload in frames:
        assert first == 0xC1
        inflated = zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff")
        assert inflated == b"word word word word word word word word word "


def test_pings_pongs_and_raw_bytes_go_out_in_order(start: Start) -> None:
    def react(happened: Any, now: int) -> list[Action]:
        ours = happened.socket
        return [
            Send((ours,), "a"), SendPing(ours, b"p"), SendPing(ours, b"q", pong=True),
            SendRaw(ours, b"\x01\x01b\x80\x01c"), Send((ours,), "d"),
        ]  # fmt: skip

    _, handle = start(Scripted(MessageReceived=react))

    with Plain(handle.port) as client:
        client.upgrade()
        client.say(1, b"go")
        frames = [client.frame() for _ in range(6)]

    assert frames == [
        (0x81, b"a"),
        (0x89, b"p"),
        (0x8A, b"q"),
        (1, b"b"),
        (0x80, b"c"),
        (0x81, b"d"),
    ]


@pytest.mark.parametrize(
    ("code", "payload"), [(1000, b"\x03\xe8bye"), (None, b"bye"), (4001, b"\x0f\xa1bye")]
)
def test_a_closing_handshake_has_the_code_it_was_given(
    start: Start, code: int | None, payload: bytes
) -> None:
    reason = "bye" if code else ""
    source, handle = start(
        Scripted(
            MessageReceived=lambda h, _: [Send((h.socket,), "last"), Close(h.socket, code, reason)]
        )
    )

    with Plain(handle.port) as client:
        client.upgrade()
        client.say(1, b"go")
        assert client.frame() == (0x81, b"last")
        assert client.frame() == (0x88, payload if code else b"")
        client.say(8, b"\x03\xe8")
        assert client.rest() == b""
    wait_until(handle, lambda: isinstance(source.happened[-1], Disconnected))

    assert source.happened[-1].code == 1000


def test_a_frozen_socket_hears_and_says_nothing_more(start: Start) -> None:
    source, handle = start(
        Scripted(MessageReceived=lambda h, _: [Freeze(h.socket), Send((h.socket,), "lost")])
    )

    with Plain(handle.port) as client:
        client.upgrade()
        client.say(1, b"go")
        wait_until(handle, lambda: any(isinstance(h, MessageReceived) for h in source.happened))
        client.say(9, b"anybody?")
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)

    assert len([h for h in source.happened if isinstance(h, MessageReceived)]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("speed", [1.0, MAX], ids=["in real time", "as fast as the wire"])
def test_a_client_that_stops_reading_stops_nobody_and_is_cut_in_the_end(
    start: Start, speed: float
) -> None:
    message = b"x" * 100_000

    def flood(happened: Any, now: int) -> list[Action]:
        nonlocal left
        left -= 1
        everybody = tuple(source.sockets)
        return [Send(everybody, message), Wake(now + 1)] if left else [Send(everybody, b"end")]

    left = 300
    source, handle = start(
        Scripted(MessageReceived=flood, Woke=flood), speed=speed, outgoing_max=8_000_000
    )

    with Plain(handle.port) as deaf, connect(f"{handle.ws_url}/ws", max_size=None) as ws:
        deaf.upgrade()
        ws.send("go")
        got = [ws.recv(30) for _ in range(300)]
        wait_until(handle, lambda: any(isinstance(h, Disconnected) for h in source.happened))

    assert got[-1] == b"end"
    assert set(got[:-1]) == {message}
