"""A drawn stream -> a cassette that ``comfyrec serve`` replays, ``show`` draws and a test keeps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from comfyrec.cassette.files import create_cassette
from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    HttpPart,
    Opened,
    Side,
    WsFrame,
)
from comfyrec.events import comfy_json
from comfyrec.strategies.faults import is_greeting
from comfyrec.strategies.messages import Message
from comfyrec.strategies.streams import FLAGS, Stream
from fake_server.options import EPOCH_MS
from fake_server.scenarios.kit.matchers import framed, look

__all__ = ["records_of", "save_example"]

_SOCKET, _HTTP = 1, 2
_HOST = "Host: 127.0.0.1:8188\r\n"
PIECE_BYTES: Final = 1 << 20
"""A record is bounded, and JSON may take six characters for a byte."""
_JSON = "Content-Type: application/json; charset=utf-8\r\n"


def save_example(stream: Stream, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a stream as the recording of one client: its socket, its prompt, the history.

    ``comfyrec serve FILE`` replays it, ``@pytest.mark.comfyui(cassette=FILE)`` makes a test of it.

    Args:
        stream: legal or faulty.
        path: ``.jsonl`` for a text that can be reviewed, ``.crec`` for a packed file.
        overwrite: replace a file that is there.

    Raises:
        CassetteExists: the file holds something, and ``overwrite`` is not given.
        Unavailable: it cannot be written.
    """
    records = list(records_of(stream))
    about = {"comfyui_version": stream.version, "label": stream.label, "example": repr(stream)}
    writer = create_cassette(
        path,
        upstream="http://127.0.0.1:8188",
        about=about,
        redacted=(),
        clock_us=lambda: EPOCH_MS * 1_000 + (stream.times_us[-1] if stream.times_us else 0),
        overwrite=overwrite,
    )
    try:
        for record in records:
            writer.add(msgspec.structs.replace(record, seq=writer.next_seq))
    finally:
        writer.close()


def records_of(stream: Stream) -> Iterator[AnyRecord]:
    """The records of a stream, after the ``Session``, numbered from 1."""
    for seq, (at, kind, fields) in enumerate(_told(stream), start=1):
        yield kind(seq=seq, t=EPOCH_MS * 1_000 + at, **fields)


Told = tuple[int, type[Any], dict[str, Any]]
"""When, in virtual microseconds, the kind of record, and its own fields."""


def _told(stream: Stream) -> Iterator[Told]:
    greeting = 0
    while greeting < len(stream.messages) and is_greeting(look(stream.messages[greeting])):
        greeting += 1
    sent = list(zip(stream.times_us, stream.messages, strict=True))
    last = sent[-1][0] if sent else 0
    yield from _opened(stream)
    yield from _frames(sent[:1])
    if stream.flags:
        yield 0, WsFrame, _from_client(FLAGS)
    yield from _frames(sent[1:greeting])
    yield from _asked(stream)
    yield from _frames(sent[greeting:])
    if stream.end is not None:
        yield from _ended(stream.end, last)
    yield from _history(stream, last)
    yield last, Closed, {"conn": _HTTP, "side": Side.CLIENT}


def _opened(stream: Stream) -> Iterator[Told]:
    upgrade = (
        f"GET /ws?clientId={stream.client_id} HTTP/1.1\r\n{_HOST}Connection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: c3RyYXRlZ2llcy1oZWFyIQ==\r\n\r\n"
    )
    accepted = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    )
    yield 0, Opened, {"conn": _SOCKET}
    yield 0, HttpPart, _part(_SOCKET, Side.CLIENT, 0, upgrade)
    yield 0, HttpPart, _part(_SOCKET, Side.SERVER, 0, accepted)


def _asked(stream: Stream) -> Iterator[Told]:
    body = comfy_json({"prompt": stream.graph, "client_id": stream.client_id}).encode()
    yield 0, Opened, {"conn": _HTTP}
    yield from _exchange(0, 0, "POST /prompt", body, stream.accepted)


def _history(stream: Stream, at: int) -> Iterator[Told]:
    entry = {} if stream.history is None else {stream.prompt_id: stream.history}
    yield from _exchange(at, 1, f"GET /history/{stream.prompt_id}", b"", entry)


def _exchange(at: int, number: int, line: str, body: bytes, answer: Any) -> Iterator[Told]:
    told = comfy_json(answer).encode()
    length = f"Content-Length: {len(body)}\r\n{_JSON}" if body else ""
    head = f"{line} HTTP/1.1\r\n{_HOST}{length}\r\n"
    yield at, HttpPart, _part(_HTTP, Side.CLIENT, number, head, body)
    head = f"HTTP/1.1 200 OK\r\n{_JSON}Content-Length: {len(told)}\r\n\r\n"
    yield at, HttpPart, _part(_HTTP, Side.SERVER, number, head, told)


def _part(conn: int, side: Side, exchange: int, head: str, body: bytes = b"") -> dict[str, Any]:
    return {
        "conn": conn, "side": side, "exchange": exchange, "head": head.encode(), "body": body,
    }  # fmt: skip


def _frames(sent: Iterable[tuple[int, Message]]) -> Iterator[Told]:
    return chain.from_iterable(map(_frame, sent))


def _frame(sent: tuple[int, Message]) -> Iterator[Told]:
    at, message = sent
    payload = message.encode() if isinstance(message, str) else message
    whole = framed(message)
    head = whole[: len(whole) - len(payload)]
    for start in range(0, max(len(payload), 1), PIECE_BYTES):
        end = start + PIECE_BYTES
        fields = {"head": head, "payload": payload[start:end], "last": end >= len(payload)}
        yield at, WsFrame, {"conn": _SOCKET, "side": Side.SERVER, **fields}
        head = b""


def _from_client(text: str) -> dict[str, Any]:
    payload = text.encode()
    # A client's frames are masked (RFC 6455 section 5.3); with a key of zeros that changes nothing.
    head = bytes((0x81, 0x80 | len(payload))) + bytes(4)
    return {"conn": _SOCKET, "side": Side.CLIENT, "head": head, "payload": payload}


def _ended(code: int, at: int) -> Iterable[Told]:
    if code == 1006:
        return [(at, Closed, {"conn": _SOCKET, "side": Side.SERVER, "how": "reset"})]
    payload = code.to_bytes(2, "big")
    close = {"conn": _SOCKET, "side": Side.SERVER, "head": b"\x88\x02", "payload": payload}
    return [(at, WsFrame, close), (at, Closed, {"conn": _SOCKET, "side": Side.SERVER})]
