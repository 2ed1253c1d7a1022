"""WebSocket messages on their way out: framed once for all who get them, collected, and drained.

Each message is framed, and deflated, once for all sockets that get it, and written at once: so what
a source wants done is done in its order, and a client that stops reading does not hold up others.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from comfyrec.wire.frames import CLOSE, close_payload, frame, message_frame, payload_of
from fake_server.server.exchange import SocketExchange
from fake_server.source import Close, Send

__all__ = ["OUTGOING_MAX", "WebSocketOut"]

OUTGOING_MAX: Final = 64 * 1024 * 1024
"""Bytes that wait for one client that does not read; beyond, its connection is cut."""
STALLED_S: Final = 1.0
"""At speed max, virtual time waits this long for a client that does not read, then goes on."""
CLOSING_S: Final = 10.0
"""How long a close frame may stay unanswered, as with aiohttp."""
_TOGETHER_MAX: Final = 64
"""Messages in one write; they are no bigger than progress, so this is some 100 kB."""
_ALONE_FROM: Final = 16_384
"""A message of this size, a preview, is not worth the copy that joining costs."""
_FLUSHED: Final = b"\x00\x00\xff\xff"
"""The end of a flush, which a frame leaves out (RFC 7692 section 7.2.1)."""


class WebSocketOut:
    """The way out of all sockets of one server.

    Args:
        sockets: by number, from their handshake on.
        outgoing_max: bytes that may wait for one client.
    """

    def __init__(
        self,
        sockets: Mapping[int, SocketExchange],
        *,
        loop: asyncio.AbstractEventLoop,
        outgoing_max: int,
    ) -> None:
        self._sockets, self._loop, self.outgoing_max = sockets, loop, outgoing_max
        self._full: set[SocketExchange] = set()
        self._deflaters: dict[int, Any] = {}
        self._collected: dict[SocketExchange, list[bytes]] = {}

    # --- messages ----------------------------------------------------------------------------

    def send(self, action: Send) -> None:
        """Send a message with the next ``flush``, to sockets that are not open yet once they are.

        Strategy: messages that follow each other leave in one write; most of what a message costs
        is the call into the system.
        """
        message = action.message
        plain: bytes | None = None
        deflated: dict[int, bytes] = {}
        for number in action.sockets:
            socket = self._sockets.get(number)
            if socket is None or socket.closing:
                continue
            if not socket.open:
                socket.hold(Send((number,), message))
                continue
            if socket.deflate:
                data = deflated.get(socket.deflate)
                if data is None:
                    data = deflated[socket.deflate] = self._deflated(message, socket.deflate)
            else:
                if plain is None:
                    plain = message_frame(message)
                data = plain
            frames = self._collected.get(socket)
            if frames is None:
                self._collected[socket] = [data]
            elif len(frames) < _TOGETHER_MAX and len(data) < _ALONE_FROM:
                frames.append(data)
            else:
                self._collected[socket] = []
                self.write(socket, b"".join((*frames, data)))

    def flush(self) -> None:
        """Write what was collected."""
        if self._collected:
            collected, self._collected = self._collected, {}
            for socket, frames in collected.items():
                self.write(socket, frames[0] if len(frames) == 1 else b"".join(frames))

    def write(self, socket: SocketExchange, data: bytes) -> None:
        """Write bytes to a socket at once; cut it when too many wait."""
        transport = socket.transport
        if socket.frozen or not data or transport.is_closing():
            return
        transport.write(data)
        if socket.protocol.writing_paused:
            self._full.add(socket)
            if transport.get_write_buffer_size() > self.outgoing_max:
                transport.abort()

    def _deflated(self, message: str | bytes, bits: int) -> bytes:
        """A compressed frame that needs none before it, so that all sockets can share it.

        RFC 7692 lets a sender forget its window whenever it likes; a full flush does.
        """
        deflater = self._deflaters.get(bits)
        if deflater is None:
            deflater = self._deflaters[bits] = zlib.compressobj(wbits=-bits)
        opcode, payload = payload_of(message)
        data = deflater.compress(payload) + deflater.flush(zlib.Z_FULL_FLUSH)
        return frame(opcode, data.removesuffix(_FLUSHED), compressed=True)

    def close(self, socket: SocketExchange, close: Close) -> None:
        """Begin the closing handshake, and cut the socket if the client does not finish it."""
        if socket.closing:
            return
        self.write(socket, frame(CLOSE, close_payload(close.code, close.reason)))
        socket.closing = True
        socket.giving_up = self._loop.call_later(CLOSING_S, socket.transport.abort)

    # --- clients that do not read --------------------------------------------------------------

    def settle(self) -> Coroutine[Any, Any, None] | None:
        """What virtual time has to wait for at speed max: clients that have not read yet."""
        if not self._full:
            return None
        self._full = {s for s in self._full if s.open and s.protocol.writing_paused}
        waited_for = [s for s in self._full if not s.stalled and not s.frozen]
        return self._drained(waited_for) if waited_for else None

    async def _drained(self, waited_for: list[SocketExchange]) -> None:
        drains = []
        for socket in waited_for:
            if socket.draining is None:
                socket.draining = self._loop.create_task(_drain(socket))
            drains.append(socket.draining)
        _, pending = await asyncio.wait(drains, timeout=STALLED_S)
        for socket in waited_for:
            socket.stalled = socket.draining in pending

    def gone(self, socket: SocketExchange) -> None:
        """A socket has ended."""
        if socket.giving_up is not None:
            socket.giving_up.cancel()
        self._full.discard(socket)

    def stop(self) -> None:
        """Stop waiting for clients."""
        for drain in [s.draining for s in self._full if s.draining is not None]:
            drain.cancel()
        self._full.clear()


async def _drain(socket: SocketExchange) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.http.writer.drain()
    socket.draining = None
    socket.stalled = False
