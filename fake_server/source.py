"""What behaves like a server: the protocol ``Source``, its inputs and its actions.

A source (the simulated server, a replayed cassette, either of them under a scenario's operators) is
a plain object: ``handle(happened, now)`` takes an input and gives actions. It has no socket, no
clock and no randomness of its own. ``server.server`` feeds it, carries out the actions in order,
and waits.

``now`` and ``Wake.at`` are whole virtual microseconds since the server was started or reset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from comfyrec.errors import UsageError
from comfyrec.http.large_body import StoredBody
from comfyrec.http.request import Request as Request

if TYPE_CHECKING:
    from comfyrec.timeline import Timeline


class Response(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer, whole. ``Date``, ``Server``, ``Content-Length`` are added by the shell."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reason: str | None = None
    close: bool = False
    """Close the connection after this answer."""
    stored: StoredBody | None = None
    """The body, when it stands in a file; ``body`` is empty then."""

    @property
    def body_bytes(self) -> int:
        """Of the body, wherever it is."""
        return len(self.body) if self.stored is None else self.stored.size

    def in_memory(self) -> Response:
        """The same answer with its body in memory."""
        if self.stored is None:
            return self
        body = self.stored.read(0, self.stored.size)
        return msgspec.structs.replace(self, body=body, stored=None)


# --- inputs ----------------------------------------------------------------------------------


class RequestReceived(msgspec.Struct, frozen=True, gc=False):
    """A request that is not a WebSocket upgrade; ``exchange`` names it until it is answered."""

    exchange: int
    request: Request


class UpgradeRequested(msgspec.Struct, frozen=True):
    """A request for a WebSocket upgrade. Answer with ``Accept`` or ``Respond(exchange=socket)``."""

    socket: int
    request: Request


class MessageReceived(msgspec.Struct, frozen=True, gc=False):
    """A client sent a message: ``str`` for text, ``bytes`` for binary."""

    socket: int
    message: str | bytes


class Disconnected(msgspec.Struct, frozen=True):
    """A socket was closed. ``code`` is 1006 when no close frame came."""

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


# --- actions --------------------------------------------------------------------------------


class Accept(msgspec.Struct, frozen=True):
    """Accept the upgrade of a socket, with status 101."""

    socket: int
    headers: tuple[tuple[str, str], ...] = ()
    protocol: str | None = None
    first: bytes = b""
    """Bytes (whole frames) that leave in one write with the 101 answer, in its TCP segment."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """One message to each of the sockets: ``str`` as text, ``bytes`` as binary."""

    sockets: tuple[int, ...]
    message: str | bytes


class SendPing(msgspec.Struct, frozen=True):
    """A ping (or, with ``pong``, an unsolicited pong) to a socket."""

    socket: int
    payload: bytes = b""
    pong: bool = False


class Close(msgspec.Struct, frozen=True):
    """Begin a closing handshake."""

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
    more: bool = False
    """The body goes on: ``RespondMore`` follows, up to one that is the last, or a ``HangUp``. It
    leaves in chunks, unless the answer names a ``Content-Length``."""


class RespondMore(msgspec.Struct, frozen=True, gc=False):
    """A piece of the body of an answer that has begun. A client that leaves before the last one is
    told of as ``RequestAborted``."""

    exchange: int
    data: bytes
    last: bool = False


class HangUp(msgspec.Struct, frozen=True):
    """Cut the TCP connection of an exchange without an answer, or after ``first`` bytes of it.

    Of an answer that has begun nothing more is sent.
    """

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
    """Bytes for the connection of an accepted socket, as they are: already framed."""

    socket: int
    data: bytes


class Freeze(msgspec.Struct, frozen=True):
    """Neither read from a socket nor write to it any more, and do not close it: half open.

    Pings stay unanswered, no FIN is sent; the connection ends when the client or the shell does.
    """

    socket: int


class Listen(msgspec.Struct, frozen=True):
    """Refuse TCP connections, or accept them again on the same port."""

    accept: bool


Action = (
    Accept
    | Send
    | SendPing
    | Close
    | Abort
    | Respond
    | RespondMore
    | HangUp
    | Wake
    | WaitRealTime
    | SendRaw
    | Freeze
    | Listen
)


PARTS: Final = ("queue", "history", "cache", "counters", "files")
"""What a source may be asked to forget by itself: ``queue`` (what runs, too), ``history``,
``cache``, ``counters`` (of prompts, ids and file names) and ``files``."""


class Source(Protocol):
    """Anything that behaves like a server: simulated, replayed, or either inside a wrapper.

    The numbers of exchanges and sockets that reach a source are from 0 up. Those below zero are a
    source's own and never leave it. A class that inherits from this one has the answers of a source
    without any state.
    """

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """Take what happened at ``now`` and say what shall happen, in order."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What ``GET /__fake__/`` shows of the state, as plain JSON values."""
        return {}

    def ended(self, prompt_id: str) -> Mapping[str, Any] | None:
        """The history entry of a prompt that is over, whoever heard of its end.

        None: it is not over, or this server does not know of it.
        """
        return None

    def reset(self, parts: Collection[str]) -> None:
        """Forget these ``PARTS`` of the state, silently; sockets stay open.

        Raises:
            UsageError: it cannot forget one of them by itself.
        """
        if parts:
            raise UsageError(
                f"this server cannot forget its {', '.join(parts)} by itself; "
                f'start it anew with {{"what": ["scenario"]}}'
            )

    def step_by_frame(self, on: bool) -> None:
        """Whether to stop after each frame, so that the state is never ahead of what was sent."""
        return

    def learn(self, workflows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Have what these workflows need from now on; what that is, as plain JSON values.

        Args:
            workflows: each in API format or as the web page saves it.

        Raises:
            UsageError: this server runs nothing.
            WorkflowError: one of them is not a workflow; nothing is learned then.
        """
        raise UsageError("this server answers from a recording and runs nothing; it cannot learn")

    @property
    def complaints(self) -> Sequence[str]:
        """What was to happen and did not, or happened and was not to: one sentence each."""
        return ()

    @property
    def timeline(self) -> Timeline | None:
        """The recording that is replayed; None where nothing is."""
        return None

    @property
    def takes_stored(self) -> bool:
        """Whether the large body of an upload may stand in a file (``Request.stored``)."""
        return False


class Wrapper(Source):
    """A source around another one, which passes everything on; override what it is there for.

    Args:
        inner: what behaves.
    """

    def __init__(self, inner: Source) -> None:
        self.inner = inner

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """As the inner source."""
        return self.inner.handle(happened, now)

    def facts(self) -> Mapping[str, Any]:
        """As the inner source."""
        return self.inner.facts()

    def ended(self, prompt_id: str) -> Mapping[str, Any] | None:
        """As the inner source."""
        return self.inner.ended(prompt_id)

    def reset(self, parts: Collection[str]) -> None:
        """Reset the inner source.

        Raises:
            UsageError: it cannot forget one of the parts by itself.
        """
        self.inner.reset(parts)

    def step_by_frame(self, on: bool) -> None:
        """Let the inner source stop after each frame."""
        self.inner.step_by_frame(on)

    def learn(self, workflows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Let the inner source learn.

        Raises:
            UsageError: it runs nothing.
            WorkflowError: one of them is not a workflow; nothing is learned then.
        """
        return self.inner.learn(workflows)

    @property
    def complaints(self) -> Sequence[str]:
        """As the inner source."""
        return self.inner.complaints

    @property
    def timeline(self) -> Timeline | None:
        """As the inner source."""
        return self.inner.timeline

    @property
    def takes_stored(self) -> bool:
        """As the inner source."""
        return self.inner.takes_stored
