"""The two ends of a link, as asyncio sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

__all__ = ["ClientHalf", "Link", "ServerHalf"]

READ_BYTES_MIN: Final = 16 << 10
SLOW_S: Final = 0.004
"""A read that keeps the recorder busy for longer makes the next ones of its connection smaller:
nobody else is heard meanwhile."""


class Link(Protocol):
    """Who is told what happens at either end."""

    def client_said(self, data: bytes) -> None: ...
    def client_ended(self) -> bool:
        """The client sends nothing more; returns whether it may still be written to."""

    def client_is_full(self) -> None: ...
    def client_is_ready(self) -> None: ...
    def client_is_gone(self, trouble: Exception | None) -> None: ...
    def server_said(self, data: bytes) -> None: ...
    def server_ended(self) -> bool:
        """The server sends nothing more; returns whether it may still be written to."""

    def server_is_full(self) -> None: ...
    def server_is_ready(self) -> None: ...
    def server_is_gone(self, trouble: Exception | None) -> None: ...


class _Half(asyncio.BufferedProtocol):
    """One side of a link: reads as much at once as the recorder can take in good time."""

    _hear: Callable[[bytes], None]

    def __init__(self, room: memoryview) -> None:
        self._all_room = self._room = room

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        data = self._room[:nbytes].tobytes()
        if nbytes < READ_BYTES_MIN:
            self._hear(data)
            return
        began = perf_counter()
        self._hear(data)
        self._fit(nbytes, perf_counter() - began)

    def _fit(self, nbytes: int, took_s: float) -> None:
        size = len(self._room)
        if took_s > SLOW_S:
            self._room = self._all_room[: max(READ_BYTES_MIN, min(size, nbytes) // 2)]
        elif nbytes == size < len(self._all_room) and took_s < SLOW_S / 2:
            self._room = self._all_room[: 2 * size]


class ClientHalf(_Half):
    """The accepted side of a link, which begins with it.

    Args:
        begin: makes the link of an accepted connection.
        room: what is read goes here first; one for all connections.
    """

    def __init__(self, begin: Callable[[asyncio.Transport], Link], room: memoryview) -> None:
        super().__init__(room)
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link = self._begin(transport)
        self._hear = self._link.client_said

    def eof_received(self) -> bool:
        return self._link.client_ended()

    def pause_writing(self) -> None:
        self._link.client_is_full()

    def resume_writing(self) -> None:
        self._link.client_is_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.client_is_gone(exc)


class ServerHalf(_Half):
    """The dialled side of a link.

    Args:
        link: the one that dialled.
        room: what is read goes here first; one for all connections.
    """

    def __init__(self, link: Link, room: memoryview) -> None:
        super().__init__(room)
        self._link = link
        self._hear = link.server_said

    def eof_received(self) -> bool:
        return self._link.server_ended()

    def pause_writing(self) -> None:
        self._link.server_is_full()

    def resume_writing(self) -> None:
        self._link.server_is_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.server_is_gone(exc)
