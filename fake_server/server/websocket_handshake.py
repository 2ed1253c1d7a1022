"""The upgrade of a connection to a WebSocket, as aiohttp does it."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
from collections.abc import Iterator

from aiohttp import web

from fake_server.server.exchange import SocketExchange
from fake_server.source import Accept

__all__ = ["upgraded"]


async def upgraded(socket: SocketExchange, accept: Accept) -> web.WebSocketResponse:
    """Answer the handshake with 101, and with the first frames where there are some.

    Afterwards ``socket.deflate`` has the size of the window that was agreed on, 0 for none.
    """
    ws = web.WebSocketResponse(autoclose=False)
    if accept.protocol is not None:
        ws.headers["Sec-WebSocket-Protocol"] = accept.protocol
    for name, value in accept.headers:
        ws.headers.add(name, value)
    with _one_segment(socket.transport) if accept.first else contextlib.nullcontext():
        await ws.prepare(socket.http)
        if accept.first:
            socket.transport.write(accept.first)
    # False when it was not offered.
    socket.deflate = int(ws.compress)
    return ws


@contextlib.contextmanager
def _one_segment(transport: asyncio.Transport) -> Iterator[None]:
    """Keep what is written together, where the system can: a client then reads it in one go."""
    option = getattr(sockets, "TCP_CORK", None) or getattr(sockets, "TCP_NOPUSH", None)
    raw = transport.get_extra_info("socket")
    if option is None or raw is None:
        yield
        return
    raw.setsockopt(sockets.IPPROTO_TCP, option, 1)
    try:
        yield
    finally:
        raw.setsockopt(sockets.IPPROTO_TCP, option, 0)
