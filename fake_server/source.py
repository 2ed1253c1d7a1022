"""What happened, and what shall happen: the words between a source of behaviour and its shell.

A source (the engine, a replayed cassette, either of them under a scenario's operators) is a plain
object: ``handle(happened, now)`` gives actions. It owns no socket, no clock and no chance. The
shell (``app``) feeds it, carries the actions out in order, and waits.

``now`` and ``Wake.at`` are virtual microseconds since the server was started or reset, integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from comfyrec.http.request import Request as Request


class Response(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer, whole. ``Date``, ``Server``, ``Content-Length`` are added by the shell."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reason: str | None = None
    close: bool = False
    """Close the connection behind this answer."""


# --- what happened ---------------------------------------------------------------------------


class RequestReceived(msgspec.Struct, frozen=True, gc=False):
    """A request came that is no WebSocket upgrade; ``exchange`` names it until it is answered."""

    exchange: int
    request: Request


class UpgradeRequested(msgspec.Struct, frozen=True):
    """A WebSocket upgrade was asked for. Answer with ``Accept`` or ``Respond(exchange=socket)``."""

    socket: int
    request: Request


class MessageReceived(msgspec.Struct, frozen=True, gc=False):
    """A client sent a message: ``str`` for text, ``bytes`` for binary."""

    socket: int
    message: str | bytes


class Disconnected(msgspec.Struct, frozen=True):
    """A socket is gone. ``code`` is 1006 when no close frame came."""

    socket: int
    code: int = 1006


class RequestAborted(msgspec.Struct, frozen=True):
    """The client of an open exchange went away before the answer."""

    exchange: int


class Woke(msgspec.Struct, frozen=True, gc=False):
    """The time that a ``Wake`` asked for has come."""


class RealTimePassed(msgspec.Struct, frozen=True):
    """The real time that a ``WaitRealTime`` asked for has passed."""

    token: int


Happened = (
    RequestReceived
    | UpgradeRequested
    | MessageReceived
    | Disconnected
    | RequestAborted
    | Woke
    | RealTimePassed
)


# --- what shall happen -----------------------------------------------------------------------


class Accept(msgspec.Struct, frozen=True):
    """Finish the upgrade of a socket that knocked."""

    socket: int
    headers: tuple[tuple[str, str], ...] = ()
    protocol: str | None = None
    first: bytes = b""
    """Bytes (whole frames) that leave in one write with the 101 answer, in its TCP segment."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """One message to each of the sockets: encoded once, ``str`` as text, ``bytes`` as binary."""

    sockets: tuple[int, ...]
    message: str | bytes


class SendPing(msgspec.Struct, frozen=True):
    """A ping (or, with ``pong``, an unsolicited pong) to a socket, as a recording had it."""

    socket: int
    payload: bytes = b""
    pong: bool = False


class Close(msgspec.Struct, frozen=True):
    """A closing handshake."""

    socket: int
    code: int | None = 1000
    reason: str = ""


class Abort(msgspec.Struct, frozen=True):
    """Cut the TCP connection of a socket without a close frame; the client sees 1006."""

    socket: int


class Respond(msgspec.Struct, frozen=True, gc=False):
    """Answer an exchange."""

    exchange: int
    answer: Response


class HangUp(msgspec.Struct, frozen=True):
    """Cut the TCP connection of an exchange without an answer, or after ``first`` bytes of it."""

    exchange: int
    answer: Response | None = None
    first: int = 0


class Wake(msgspec.Struct, frozen=True, gc=False):
    """Call ``handle(Woke(), now)`` once ``now`` has reached ``at``; Wakes add up."""

    at: int


class WaitRealTime(msgspec.Struct, frozen=True):
    """Call ``handle(RealTimePassed(token), now)`` when ``real_us`` of real time have passed.

    For waiting on a client, which lives in real time: at speed max virtual time jumps ahead of any
    client at once, and so says nothing about how long one has had.
    """

    token: int
    real_us: int


class SendRaw(msgspec.Struct, frozen=True):
    """Bytes into the connection of an accepted socket as they are: the source framed them."""

    socket: int
    data: bytes


class Freeze(msgspec.Struct, frozen=True):
    """Neither read from a socket nor write to it any more, and do not close it: half open.

    Pings stay unanswered, no FIN is sent; the connection ends when the client or the shell does.
    """

    socket: int


class Listen(msgspec.Struct, frozen=True):
    """Stop taking TCP connections (they are refused), or take them again on the same port."""

    accept: bool


Action = (
    Accept
    | Send
    | SendPing
    | Close
    | Abort
    | Respond
    | HangUp
    | Wake
    | WaitRealTime
    | SendRaw
    | Freeze
    | Listen
)


class Source(Protocol):
    """Anything that behaves like a server: engine, replay, or either under operators."""

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """Take what happened at ``now`` and say what shall happen, in order."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What ``GET /__fake__/`` shows of the state, as plain JSON values."""
        ...
