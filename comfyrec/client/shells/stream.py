"""(shell) Everything that a server says on one websocket, as a stream that outlives the socket.

::

    async with EventStream("127.0.0.1:8188") as stream:
        async for item in stream:
            ...

Items are events as ``comfyrec.events.decode`` gives them, ``DecodeError`` for a message that is
none of ComfyUI (the stream goes on), and what happens to the connection: ``ReceiveError``, then
``ReconnectError`` for each attempt that failed, then ``Reconnected``.

The socket is read whether the consumer keeps up or not: a reader that stops can stall the server
for everybody (W15). What does not fit into the buffer is left out, oldest first, and counted in a
``Skipped``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import yarl

from comfyrec import events
from comfyrec.client import address
from comfyrec.client.backoff import pause_us
from comfyrec.client.http.exchange import with_query
from comfyrec.client.http.requests import FEATURE_FLAGS
from comfyrec.errors import DecodeError, NoServer

__all__ = ["EventStream", "ReceiveError", "ReconnectError", "Reconnected", "Skipped"]

_BUFFERED_MAX = 10_000
_BUFFERED_BYTES_MAX = 64 << 20


class ReceiveError(msgspec.Struct, frozen=True):
    """The socket is gone."""

    why: str


class ReconnectError(msgspec.Struct, frozen=True):
    """An attempt to connect again failed; the next one comes after ``pause_s``."""

    why: str
    attempt: int
    pause_s: float


class Reconnected(msgspec.Struct, frozen=True):
    """A new WebSocket is open. Messages sent in between are lost."""

    attempts: int


class Skipped(msgspec.Struct, frozen=True):
    """So many items were dropped, because nobody took them."""

    count: int


Item = Any
"""An event, a ``DecodeError``, or one of the above."""


class EventStream:
    """An async iterator over what a server says. Leaving its ``async with`` closes the socket.

    Args:
        server: address; ``None`` reads the environment.
        client_id: ``None`` for a new one.
        reconnect: without, the stream ends after the one ``ReceiveError``.
        headers: sent with the upgrade.
        environment: instead of the process's own.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        client_id: str | None = None,
        reconnect: bool = True,
        headers: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        environment = os.environ if environment is None else environment
        where = address.parse(server) if server else address.from_environment(environment)
        self.address = where
        self.client_id = client_id or str(uuid.uuid4())
        self._headers = dict(headers or {})
        if where.authorization:
            self._headers.setdefault("Authorization", where.authorization)
        self._reconnect = reconnect
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._skipped = 0
        self._news = asyncio.Event()
        self._ended = False
        self._http: aiohttp.ClientSession | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            NoServer: the first connection failed.
        """
        self._http = aiohttp.ClientSession()
        try:
            socket = await self._open()
        except _Failure as failure:
            await self._http.close()
            raise NoServer(str(self.address), str(failure)) from None
        self._reader = asyncio.create_task(self._read(socket))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        if self._http is not None:
            await self._http.close()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            if self._skipped:
                skipped, self._skipped = self._skipped, 0
                yield Skipped(skipped)
            elif self._items:
                item, size = self._items.popleft()
                self._bytes -= size
                yield item
            elif self._ended:
                return
            else:
                self._news.clear()
                await self._news.wait()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Fill the buffer, whatever happens to the socket, until it is not to be opened again."""
        connected: aiohttp.ClientWebSocketResponse | None = socket
        while connected is not None:
            try:
                async for message in connected:
                    self._heard(message)
            finally:
                await connected.close()
            error = connected.exception()
            self._put(ReceiveError(str(error) if error else f"closed ({connected.close_code})"))
            connected = await self._open_again() if self._reconnect else None
        self._ended = True
        self._news.set()

    def _heard(self, message: aiohttp.WSMessage) -> None:
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return
        try:
            item: Item = events.decode(message.data)
        except DecodeError as none:
            item = none
        self._put(item, len(message.data))

    def _put(self, item: Item, size: int = 0) -> None:
        self._items.append((item, size))
        self._bytes += size
        while len(self._items) > _BUFFERED_MAX or self._bytes > _BUFFERED_BYTES_MAX:
            self._bytes -= self._items.popleft()[1]
            self._skipped += 1
        self._news.set()

    async def _open_again(self) -> aiohttp.ClientWebSocketResponse:
        attempts = 0
        while True:
            pause_s = pause_us(attempts) / 1e6
            await asyncio.sleep(pause_s)
            attempts += 1
            try:
                socket = await self._open()
            except _Failure as failure:
                self._put(ReconnectError(str(failure), attempts, pause_us(attempts) / 1e6))
            else:
                self._put(Reconnected(attempts))
                return socket

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        if self._http is None:
            raise AssertionError("connects only inside 'async with'")
        url = with_query(self.address.url("/ws"), (("clientId", self.client_id),))
        try:
            async with asyncio.timeout(10):
                socket = await self._http.ws_connect(
                    yarl.URL(url, encoded=True),
                    headers=self._headers,
                    max_msg_size=0,
                    heartbeat=30.0,
                )
                await socket.send_str(FEATURE_FLAGS)
                return socket
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _Failure(str(error) or type(error).__name__) from None


class _Failure(Exception):
    """A connection that could not be opened."""
