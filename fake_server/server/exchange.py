"""Requests that wait for their answer, and the WebSockets that some of them become."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from fake_server.server.http_response import AnsweredRequest
from fake_server.source import Accept, Action, Request

__all__ = ["Exchange", "SocketExchange", "transport_of"]


HELD_MAX: Final = 1_000
"""Actions for a socket whose upgrade is on its way; the greeting is one or two."""


class Exchange:
    """A request that waits for its answer.

    Attributes:
        number: what the source calls it.
        over: the answer has been written.
        stays: the connection may be used again.
        begun: the head of an answer in pieces has been written.
        chunked: and its pieces are chunks.
    """

    def __init__(self, request: AnsweredRequest, number: int = 0) -> None:
        self.request, self.number = request, number
        self.over = False
        self.stays = False
        self.begun = self.chunked = False
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Until it is over."""
        if not self.over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def finish(self) -> None:
        """It is over."""
        self.over = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cut(self) -> None:
        """Cut its connection."""
        if self.request.transport is not None:
            self.request.transport.abort()


class SocketExchange(Exchange):
    """A WebSocket connection, from the request for it on; it is over once it is let in or not.

    Attributes:
        handshake: the request, as the source sees it.
        accept: how it was let in.
        held: what is to be done once it is open.
        deflate: the window that was agreed on for compression, 0 for none.
        frozen: neither read nor written any more.
        stalled: it does not read, and was waited for long enough.
    """

    def __init__(self, request: web.BaseRequest, number: int, handshake: Request) -> None:
        super().__init__(request, number)
        self.handshake = handshake
        self.accept: Accept | None = None
        self.held: list[Action] = []
        self.open = self.closing = self.frozen = self.stalled = False
        self.deflate = 0
        self.http = request
        self.protocol = request.protocol
        self.transport = transport_of(request)
        self.draining: asyncio.Task[None] | None = None
        self.giving_up: asyncio.TimerHandle | None = None

    def hold(self, action: Action) -> None:
        """Keep an action until the socket is open; beyond a bound it is dropped."""
        if len(self.held) < HELD_MAX:
            self.held.append(action)


def transport_of(request: web.BaseRequest) -> asyncio.Transport:
    """The connection of a request.

    Raises:
        ConnectionResetError: it has ended.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    return transport
