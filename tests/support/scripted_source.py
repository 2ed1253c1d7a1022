"""A source that does what a test says, and sockets that see every byte of it."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fake_server.server.thread import Handle
from fake_server.source import (
    Accept,
    Action,
    Disconnected,
    Happened,
    RequestReceived,
    Respond,
    Response,
    Source,
    UpgradeRequested,
)

Reaction = Callable[[Happened, int], Iterable[Action]]


class Scripted(Source):
    """Remembers what happened; reacts as the test says, by type of what happened."""

    def __init__(self, **reactions: Reaction) -> None:
        self.reactions = reactions
        self.happened: list[Happened] = []
        self.sockets: list[int] = []

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        self.happened.append(happened)
        if isinstance(happened, UpgradeRequested):
            self.sockets.append(happened.socket)
        if isinstance(happened, Disconnected) and happened.socket in self.sockets:
            self.sockets.remove(happened.socket)
        reaction = self.reactions.get(type(happened).__name__)
        if reaction is not None:
            yield from reaction(happened, now)
        elif isinstance(happened, UpgradeRequested):
            yield Accept(happened.socket)
        elif isinstance(happened, RequestReceived):
            yield Respond(happened.exchange, Response(200, (), happened.request.body))

    def facts(self) -> Mapping[str, Any]:
        return {"happened": len(self.happened)}


Start = Callable[..., tuple[Scripted, Handle]]
"""What the fixture ``start`` gives."""


def wait_until(handle: Handle, holds: Callable[[], object]) -> None:
    """Wait, with a bound, until something holds in the server's thread."""
    done = threading.Event()

    def look(tries: int) -> None:
        if holds():
            done.set()
        elif tries:
            handle.thread.loop.call_later(0.005, look, tries - 1)

    handle.call(look, 1_000)
    assert done.wait(10), "it never came to hold"


class Plain:
    """A TCP connection with a buffer."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.buffer = b""

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def until(self, mark: bytes) -> bytes:
        """Everything through the mark."""
        while mark not in self.buffer:
            got = self.sock.recv(65_536)
            assert got, f"closed before {mark!r}; got {self.buffer!r}"
            self.buffer += got
        cut = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:cut], self.buffer[cut:]
        return found

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            got = self.sock.recv(65_536)
            assert got, f"closed after {self.buffer!r}"
            self.buffer += got
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def rest(self) -> bytes:
        """Everything until the other side closes or cuts."""
        try:
            while got := self.sock.recv(65_536):
                self.buffer += got
        except ConnectionResetError:
            pass
        found, self.buffer = self.buffer, b""
        return found

    def ask(self, request: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """One request; status, fields (lower case) and body of the answer."""
        self.send(request.encode() + body)
        return self.answer(request.partition(" ")[0])

    def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        head = self.until(b"\r\n\r\n").decode()
        start, *lines = head.strip().split("\r\n")
        fields = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
        size = 0 if method == "HEAD" else int(fields.get("content-length", "0"))
        body = self.exactly(size)
        if fields.get("transfer-encoding") == "chunked" and method != "HEAD":
            body = self.until(b"0\r\n\r\n")
        return int(start.split()[1]), fields, body

    def upgrade(self, target: str = "/ws", more: str = "") -> str:
        """A websocket handshake; the head of its answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{more}\r\n".encode()
        )
        return self.until(b"\r\n\r\n").decode()

    def frame(self) -> tuple[int, bytes]:
        """First byte and payload of the next frame."""
        first, size = self.exactly(2)
        if size == 126:
            size = int.from_bytes(self.exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self.exactly(8), "big")
        return first, self.exactly(size)

    def say(self, opcode: int, payload: bytes) -> None:
        """A masked frame; the mask is zero."""
        assert len(payload) < 126
        self.send(bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload)
