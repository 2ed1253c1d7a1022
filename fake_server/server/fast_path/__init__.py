"""Plain requests, read and answered without aiohttp, in a fraction of the time.

A reader of the server can ignore it: it takes nothing that aiohttp would answer otherwise, and
hands every connection on at the first bytes that are not plain. ``connection_factory`` is the only
door; with ``otherwise`` in its place a server does the same, slower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fake_server.server.exchange import Exchange
from fake_server.server.fast_path.connection import FastConnection, Take

__all__ = ["FastConnection", "abort_all", "connection_factory"]


def connection_factory(
    take: Take,
    aborted: Callable[[Exchange], None],
    *,
    otherwise: Callable[[], asyncio.Protocol],
    connections: set[FastConnection],
    loop: asyncio.AbstractEventLoop,
) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of each new connection.

    Args:
        take: takes a request; its exchange is finished when the answer has been written.
        aborted: called when a client goes away before it has its answer.
        otherwise: makes the protocol that takes over what is not plain.
        connections: holds those that were not handed on and have not ended.
    """
    return lambda: FastConnection(take, aborted, otherwise, connections, loop=loop)


def abort_all(connections: Iterable[FastConnection]) -> None:
    """Cut connections."""
    for connection in list(connections):
        if connection.transport is not None:
            connection.transport.abort()
