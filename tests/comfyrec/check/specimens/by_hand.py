"""The right client over a WebSocket written by hand, as clients without a library have it.

Its wrong relatives in ``mutations`` lack what a library does unasked: they do not join fragments,
do not inflate, do not read on in the bytes that came with the handshake.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from typing import Any
from urllib.parse import urlsplit

from tests.comfyrec.check.specimens.right import Client


class Wire:
    """An open connection, as far as ``Client`` needs one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.closed = False

    async def close(self) -> None:
        """End it without ceremony."""
        self.closed = True
        self.writer.close()

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte, and its payload."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first, await self.reader.readexactly(size)


class ByHand(Client):
    """Right, as far as it goes."""

    extensions = ""
    """What it offers in the handshake."""
    joins_fragments = True
    reads_on = True
    """What came with the handshake is read."""
    socket: Any

    async def connect(self) -> None:
        where = urlsplit(self.base)
        try:
            streams = await asyncio.open_connection(where.hostname, where.port, limit=1 << 26)
        except OSError as error:
            self.socket = None
            self.problems.append(f"no socket: {error}")
            return
        self.socket = Wire(*streams)
        query = f"?clientId={self.client_id}" if self.client_id else ""
        key = base64.b64encode(os.urandom(16)).decode()
        head = [
            f"GET {where.path}/ws{query} HTTP/1.1",
            f"Host: {where.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *([f"Sec-WebSocket-Extensions: {self.extensions}"] if self.extensions else []),
        ]
        self.socket.writer.write("\r\n".join([*head, "", ""]).encode())
        if self.reads_on:
            await self.socket.reader.readuntil(b"\r\n\r\n")
        else:
            await self.socket.reader.read(65_536)

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        try:
            first, payload = await asyncio.wait_for(self.message(), within_s)
        except (TimeoutError, OSError, EOFError) as error:
            self.socket.closed = not isinstance(error, TimeoutError)
            return None
        return self.read(payload.decode()) if first & 15 in (0, 1) else ("", {})

    async def message(self) -> tuple[int, bytes]:
        first, payload = await self.socket.frame()
        more = first
        while self.joins_fragments and not more & 0x80:
            more, rest = await self.socket.frame()
            payload += rest
        return first, payload
