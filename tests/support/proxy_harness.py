"""A relay between two raw ends in one event loop, recording into a list."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from comfyrec.cassette.records import AnyRecord
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.proxy import Recorder, Relay, parse_upstream

LIMIT_S = 20.0
T = TypeVar("T")

Upstream = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Shelf:
    """A cassette in memory. ``full`` makes it refuse, ``before`` is called at each write."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.next_seq = 1
        self.full = False
        self.before: Callable[[list[AnyRecord]], None] = lambda pending: None

    def write(self, records: list[AnyRecord]) -> None:
        assert [record.seq for record in records] == [
            *range(self.next_seq, self.next_seq + len(records))
        ]
        if self.full:
            raise OSError(28, "No space left on device")
        self.before(records)
        self.records += records
        self.next_seq += len(records)

    def keep_place(self) -> str:
        return ""

    def of(self, kind: type[T]) -> list[T]:
        return [record for record in self.records if isinstance(record, kind)]


class Stage:
    """What a test sees: the relay, what it recorded, what it said, and new clients."""

    def __init__(
        self, relay: Relay, shelf: Shelf, said: list[str], address: tuple[str, int]
    ) -> None:
        self.relay, self.shelf, self.said, self.address = relay, shelf, said, address
        self.writers: list[asyncio.StreamWriter] = []

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        self.writers.append(writer)
        return reader, writer

    async def ask(self, request: bytes) -> bytes:
        """Everything that comes back until the connection ends."""
        reader, writer = await self.client()
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer

    async def ended(self) -> None:
        """Close the clients and wait until the relay has seen it."""
        for writer in self.writers:
            writer.close()
        await self.relay.until_idle()


@asynccontextmanager
async def staged(
    upstream: Upstream | None,
    *,
    scheme: str = "http",
    server_options: dict[str, Any] | None = None,
    rewrite_host: bool | None = False,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A relay in front of ``upstream``; None is a port where nobody listens."""
    server = None
    if upstream is None:
        port = unused_port()
    else:
        server = await asyncio.start_server(upstream, "127.0.0.1", 0, **(server_options or {}))
        port = server.sockets[0].getsockname()[1]
    shelf, said = Shelf(), list[str]()
    target = parse_upstream(f"{scheme}://127.0.0.1:{port}")
    relay = Relay(
        target,
        Recorder(shelf, Redactor(), say=said.append),
        say=said.append,
        rewrite=target.rewriter(rewrite_host=rewrite_host),
        **options,
    )
    stage = Stage(relay, shelf, said, await relay.start("127.0.0.1", 0))
    try:
        yield stage
        await stage.ended()
    finally:
        await relay.stop()
        if server is not None:
            server.close()


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def play(scene: Coroutine[Any, Any, T]) -> T:
    """Run a scene to its end, within a bound."""

    async def bounded() -> T:
        async with asyncio.timeout(LIMIT_S):
            return await scene

    return asyncio.run(bounded())


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset instead of a close."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
