"""How a client finds its server: WebSocket first, then HTTP, again until the time is over.

A server that is starting refuses connections, or answers 502 to 504 behind a proxy. One that
answers HTTP but refuses the WebSocket can be used all the same.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import msgspec

from comfyrec.client.address import Address
from comfyrec.client.http.exchange import HttpRequest, Unanswered

__all__ = ["AwaitMessage", "AwaitSocket", "SocketWaited", "start_up"]

FIRST_MESSAGE_S: Final = 1.0
"""How long the first ``status`` is awaited before a POST (K7); a silent server sends none."""
_NOT_READY: Final = (502, 503, 504)
"""What a proxy answers for a server that is still starting."""
_THERE: Final = (200, 401, 403)
"""What a route says that exists, without or with a key that it does not take."""
_SECOND: Final = 1_000_000
_REQUEST_S_MIN: Final = 1.0


class AwaitSocket(msgspec.Struct, frozen=True):
    """Wait until the next attempt to open the WebSocket has ended; send ``SocketWaited``."""

    deadline: int


class SocketWaited(msgspec.Struct, frozen=True):
    """What came of an attempt."""

    connected: bool
    now: int


class AwaitMessage(msgspec.Struct, frozen=True):
    """Wait for the first message, but not longer than this; send None."""

    limit_s: float = FIRST_MESSAGE_S


def start_up(
    address: Address, *, deadline: int
) -> Generator[AwaitSocket | AwaitMessage | HttpRequest, Any, Address]:
    """Find the server; gives the address at which it answers.

    A conversation as in ``requests``, with two more kinds of steps. Times are in microseconds.

    Raises:
        Unanswered: nothing answered until the deadline.
    """
    while True:
        waited: SocketWaited = yield AwaitSocket(deadline)
        if waited.connected:
            yield AwaitMessage()
            return address
        limit_s = max((deadline - waited.now) / _SECOND, _REQUEST_S_MIN)
        last = waited.now >= deadline
        try:
            response = yield HttpRequest(path=address.url("/queue"), timeout_s=limit_s)
            if response.status == 404 and not address.path.endswith("/api"):
                # Maybe only the routes below /api can be reached (A92).
                below = address.below("/api")
                found = yield HttpRequest(path=below.url("/queue"), timeout_s=limit_s)
                return below if found.status in _THERE else address
        except Unanswered:
            if last:
                raise
            continue
        if last or response.status not in _NOT_READY:
            return address
