"""A connection as long as what comes on it is plain; then it is handed to a whole HTTP server.

Reading and answering a plain request here takes a fraction of what aiohttp takes for it. With the
first bytes that are not plain (an upgrade, a chunked or large body, half a head, two requests at
once, no HTTP at all), aiohttp takes the connection over with all that has not been answered, and
keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp

from fake_server.server.exchange import Exchange
from fake_server.server.fast_path.parse import BODY_MAX, RequestHead, parse_head
from fake_server.source import Request

__all__ = ["FastConnection", "FastExchange", "FastRequest"]

IDLE_S: Final = 3_630.0
"""An unused connection is closed then; aiohttp's own default."""


Take = Callable[[Exchange, Request], None]


class FastRequest:
    """What an answer has to know of its request, under the names that aiohttp has for it."""

    __slots__ = ("keep_alive", "method", "transport")
    version = aiohttp.HttpVersion11

    def __init__(self, method: str, keep_alive: bool, transport: asyncio.Transport) -> None:
        self.method, self.keep_alive = method, keep_alive
        self.transport: asyncio.Transport | None = transport


class FastExchange(Exchange):
    """A request that was read here, and waits for its answer."""

    def __init__(self, request: FastRequest, connection: FastConnection) -> None:
        super().__init__(request)
        self._connection = connection

    def finish(self) -> None:
        """Its answer has been written."""
        self.over = True
        self._connection.answered(stays=self.stays)


class FastConnection(asyncio.Protocol):
    """The near end of one connection.

    Args:
        take: takes a request, and finishes its exchange when the answer has been written, at once
            or later.
        aborted: called when the connection ends while a request waits.
        otherwise: makes the protocol that takes over.
        connections: this one is in it while it has the connection.
    """

    def __init__(
        self,
        take: Take,
        aborted: Callable[[Exchange], None],
        otherwise: Callable[[], asyncio.Protocol],
        connections: set[FastConnection],
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._hand_on, self._aborted = take, aborted
        self._otherwise, self._connections = otherwise, connections
        self._loop = loop
        self._held = b""
        self._waiting: FastExchange | None = None
        self._full = self._deaf = False
        self._used = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._peer = ""
        self._secure = False
        self.transport: asyncio.Transport | None = None

    # --- what asyncio calls ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection has come."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connections.add(self)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._used = self._loop.time()
        self._idle = self._loop.call_at(self._used + IDLE_S, self._close_if_idle)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._held = self._held + data if self._held else data
        if self._waiting is None and not self._full:
            self._read()
        elif len(self._held) > BODY_MAX and not self._deaf and self.transport is not None:
            self._deaf = True
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._full = True

    def resume_writing(self) -> None:
        """It has read them."""
        self._full = False
        self._loop.call_soon(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._leave()
        if self._waiting is not None:
            self._aborted(self._waiting)

    # --- one request after the other -------------------------------------------------------------

    def answered(self, *, stays: bool) -> None:
        """The request that waited has its answer."""
        self._waiting = None
        if not stays and self.transport is not None:
            self.transport.close()
        elif self._held or self._deaf:
            # Not now: whoever answers is in the middle of something.
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.transport is None or self._waiting is not None or self._full:
            return
        if self._deaf:
            self._deaf = False
            self.transport.resume_reading()
        self._read()

    def _read(self) -> None:
        transport = self.transport
        if not self._held or transport is None or transport.is_closing():
            return
        head = parse_head(self._held)
        if head is None or len(self._held) > head.size:
            # aiohttp refuses several that come at once when one of them is broken.
            self._hand_over(transport)
        elif len(self._held) == head.size:
            self._take(head, transport)

    def _take(self, head: RequestHead, transport: asyncio.Transport) -> None:
        body, self._held = self._held[head.body :], b""
        self._used = self._loop.time()
        request = FastRequest(head.method, head.stays, transport)
        self._waiting = exchange = FastExchange(request, self)
        asked = Request(
            head.method, head.target, head.fields, body, self._peer, secure=self._secure
        )
        self._hand_on(exchange, asked)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        other, held = self._otherwise(), self._held
        self._leave()
        transport.set_protocol(other)
        other.connection_made(transport)
        other.data_received(held)

    def _leave(self) -> None:
        self.transport = None
        self._held = b""
        self._connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()

    def _close_if_idle(self) -> None:
        until = self._used + IDLE_S
        if self.transport is None:
            return
        if self._waiting is not None or until > self._loop.time():
            until = max(until, self._loop.time() + 1)
            self._idle = self._loop.call_at(until, self._close_if_idle)
        else:
            self.transport.close()
