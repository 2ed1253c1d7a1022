"""A whole connection, both directions: what may go on, and what was seen of it.

A tap stands beside a relay. Each chunk that a side sent is fed to ``client`` or ``server``; the
``Step`` that comes back says what was seen (to be written down first), which bytes go on to the
other side (then), and whether the connection must stop. Bytes of a client go on when they are
understood, so that no hidden request passes; bytes of a server go on as they came, but for an
answer that nobody asked for. What cannot be read is seen as ``Unread``. Nothing raises.

A message that comes in several chunks is held until it is whole, so that whoever takes secrets out
sees all of it; only long ones, and streams, come in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from comfyrec.wire.http1 import (
    BodyPiece,
    Broken,
    End,
    Event,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
    Unasked,
    field_values,
)
from comfyrec.wire.websocket import (
    HOLD_MAX,
    Fragments,
    Frame,
    FrameReader,
    Unread,
    negotiated,
)

__all__ = ["Part", "Seen", "Step", "Stop", "Tap"]

# Bodies that may hold a secret among their words: told by the type, and by its absence.
_WORDS: Final = re.compile(rb"json|text/|xml|urlencoded|javascript")


class Part(msgspec.Struct, frozen=True, gc=False):
    """A piece of an HTTP message, as in ``HttpPart``."""

    exchange: int
    head: bytes = b""
    body: bytes = b""
    trailers: bytes = b""
    last: bool = True
    chunks: tuple[int, ...] = ()


class Stop(msgspec.Struct, frozen=True):
    """The connection must not go on."""

    why: str
    status: int = 0
    """What to answer the client, when everything before is answered; 0: nothing."""
    torn: bool = False
    """True: the upstream has a part of the message already; cut the line at once."""


Seen = Part | Frame | Fragments | Unread


class Step(NamedTuple):
    """What follows from one chunk."""

    seen: list[Seen]
    onward: bytes
    stop: Stop | None = None


class _Message:
    """One HTTP message on its way into parts."""

    __slots__ = ("_chunks", "_eager", "_exchange", "_have", "_head", "_pieces", "_size")

    def __init__(self, exchange: int, head: bytes, size: int | None) -> None:
        self._exchange, self._head, self._size = exchange, head, size
        self._pieces: list[bytes] = []
        self._chunks: list[int] = []
        self._have = 0
        self._eager: bool | None = None

    def more(self, piece: BodyPiece) -> None:
        self._pieces.append(piece.data)
        self._have += len(piece.data)
        if piece.chunk:
            self._chunks.append(piece.chunk)

    def due(self) -> Part | None:
        """At the end of a chunk: what is not to wait for the end of the message."""
        if self._eager is None:
            self._eager = self._is_eager()
        if self._have > HOLD_MAX or (self._eager and (self._have or self._head)):
            return self.take(last=False)
        return None

    def _is_eager(self) -> bool:
        kinds = b";".join(field_values(self._head.lower(), b"content-type"))
        words = not kinds or _WORDS.search(kinds) is not None
        long = self._size is None or self._size > HOLD_MAX
        return (long and not words) or b"event-stream" in kinds

    def take(self, trailers: bytes = b"", *, last: bool) -> Part:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        part = Part(self._exchange, self._head, body, trailers, last, tuple(self._chunks))
        if not last:
            self._head, self._have = b"", 0
            pieces.clear()
            self._chunks.clear()
        return part

    def rest(self) -> Part | None:
        """The connection has ended inside the message."""
        return self.take(last=False) if self._have or self._head else None


def _due(message: _Message, seen: list[Seen]) -> None:
    part = message.due()
    if part is not None:
        seen.append(part)


class Tap:
    """One connection.

    Args:
        unwanted: says of (method, target) whether the exchange is not to be seen at all.
        rewrite: makes of the head of a request the head that goes on; what is seen is the original.
        any_upgrade: let a client ask for other protocols than WebSocket.
    """

    def __init__(
        self,
        *,
        unwanted: Callable[[bytes, bytes], bool] | None = None,
        rewrite: Callable[[bytes], bytes] | None = None,
        any_upgrade: bool = False,
    ) -> None:
        self._is_unwanted, self._rewrite = unwanted, rewrite
        self._requests = RequestReader() if not any_upgrade else RequestReader(upgrades=None)
        self._responses = ResponseReader()
        self._request: _Message | None = None
        self._response: _Message | None = None
        self._last_head = ResponseHead(b"", 0, 0, 0)
        self._count = 0
        self._unwanted: set[int] = set()
        self._upgrade: int | None = None
        self._closing: int | None = None
        self._early = b""
        self._frames: tuple[FrameReader, FrameReader] | None = None
        self._lost_answers = False
        self.left_out = 0
        """How many exchanges were not wanted."""
        self.resumes = False
        """True after a ``server`` step that decided what the held client bytes mean: ``resume``."""
        self.finished = False
        """True when the request is answered with which the client wanted the connection to end."""
        self.client: Callable[[bytes], Step] = self._client_http
        """Feed what the client sent."""
        self.server: Callable[[bytes], Step] = self._server_http
        """Feed what the server sent."""

    @property
    def outstanding(self) -> bool:
        """True while a request is not answered to the end, or nobody can say."""
        return self._lost_answers or self._responses.outstanding > 0

    @property
    def answering(self) -> bool:
        """True while the end of the connection would cut something off."""
        return self._frames is not None or self._lost_answers or not self._responses.between

    @property
    def begun(self) -> bool:
        """True when part of an answer has gone to the client that is not complete."""
        return self._lost_answers or not self._responses.idle

    def resume(self) -> Step:
        """Go on with the client's bytes that waited for the answer to an upgrade."""
        self.resumes = False
        early, self._early = self._early, b""
        return self.client(early) if early else self._requested(self._requests.resume())

    def give_up(self, data: bytes, *, of_client: bool) -> Step:
        """From now on read nothing: pass on ``data``, and all that follows, as raw bytes."""
        self._lost_answers = True
        self.client = self.server = step = _opaque("relayed without being read")
        return step(self._requests.release() + data if of_client else data)

    def client_eof(self) -> list[Seen]:
        """The client has sent its last byte."""
        if self._frames is not None:
            return list(self._frames[0].eof())
        return self._unfinished(self._requests.eof(), self._request)

    def server_eof(self) -> list[Seen]:
        """The server has sent its last byte."""
        if self._frames is not None:
            return list(self._frames[1].eof())
        seen: list[Seen] = []
        events = self._responses.eof()
        if events and isinstance(events[0], End):
            self._answered(events, seen)
            return seen
        return self._unfinished(events, self._response)

    def _unfinished(self, events: list[Event], message: _Message | None) -> list[Seen]:
        seen: list[Seen] = []
        rest = message.rest() if message is not None else None
        if rest is not None:
            seen.append(rest)
        seen += [Unread(e.data, e.why) for e in events if isinstance(e, Broken)]
        return seen

    # --- HTTP ------------------------------------------------------------------------------

    def _client_http(self, data: bytes) -> Step:
        head = self._requests.whole(data)
        if head is None:
            return self._requested(self._requests.feed(data))
        number, at = self._number(head), len(head.raw)
        onward = self._rewrite(head.raw) + data[at:] if self._rewrite is not None else data
        if number in self._unwanted:
            return Step([], onward)
        return Step([Part(number, head.raw, data[at:])], onward)

    def _requested(self, events: list[Event]) -> Step:
        onward = self._requests.onward
        seen: list[Seen] = []
        stop: Stop | None = None
        heads: list[RequestHead] = []
        for event in events:
            if isinstance(event, RequestHead):
                heads.append(event)
                self._ask(event)
            elif isinstance(event, BodyPiece):
                if self._request is not None:
                    self._request.more(event)
            elif isinstance(event, End):
                if self._request is not None:
                    seen.append(self._request.take(event.trailers, last=True))
                    self._request = None
            elif isinstance(event, Broken):
                seen += self._unfinished([event], self._request)
                self._request = None
                stop = Stop(event.why, event.status, event.torn)
        if self._request is not None:
            _due(self._request, seen)
        if self._rewrite is not None and heads:
            onward = _with_heads(onward, heads, self._rewrite)
        return Step(seen, onward, stop)

    def _ask(self, head: RequestHead) -> None:
        number = self._number(head)
        wanted = number not in self._unwanted
        self._request = _Message(number, head.raw, head.size) if wanted else None

    def _number(self, head: RequestHead) -> int:
        """Take a request into the books."""
        number, self._count = self._count, self._count + 1
        self._responses.expect(number, head.method)
        if head.upgrade:
            self._upgrade = number
        elif self._is_unwanted is not None and self._is_unwanted(head.method, head.target):
            self._unwanted.add(number)
            self.left_out += 1
        if head.closes and self._closing is None:
            self._closing = number
        return number

    def _server_http(self, data: bytes) -> Step:
        head = self._responses.whole(data)
        if head is not None:
            wanted = head.request not in self._unwanted
            self._close_book(head.request)
            at = len(head.raw)
            return Step([Part(head.request, head.raw, data[at:])] if wanted else [], data)
        seen: list[Seen] = []
        events = self._responses.feed(data)
        stop = self._answered(events, seen)
        if self._responses.switched and stop is None and not self._lost_answers:
            self._switch(seen)
        if stop is not None:
            # What the server adds to its last answer would be taken for the next one.
            return Step(seen, data[: len(data) - _unasked(events)], stop)
        return Step(seen, data)

    def _answered(self, events: list[Event], seen: list[Seen]) -> Stop | None:
        for event in events:
            if isinstance(event, ResponseHead):
                if event.request not in self._unwanted:
                    self._response = _Message(event.request, event.raw, event.size)
                self._last_head = event
            elif isinstance(event, BodyPiece):
                if self._response is not None:
                    self._response.more(event)
            elif isinstance(event, End):
                self._complete(event, seen)
            elif isinstance(event, Broken):
                seen += self._unfinished([event], self._response)
                self._response = None
                self._lost_answers = True
                self.server = _opaque("behind an answer that could not be read")
            elif isinstance(event, Unasked):
                seen.append(Unread(event.data, "the server was not asked"))
                return Stop("the upstream sent an answer that nobody asked for")
        if self._response is not None:
            _due(self._response, seen)
        return None

    def _complete(self, end: End, seen: list[Seen]) -> None:
        if self._response is not None:
            seen.append(self._response.take(end.trailers, last=True))
            self._response = None
        head = self._last_head
        if head.interim or head.status == 101:
            return
        self._close_book(head.request)

    def _close_book(self, request: int) -> None:
        """A request is answered to the end."""
        self._unwanted.discard(request)
        if self._closing == request:
            self.finished = True
        if self._upgrade == request:
            self._upgrade = None
            self.resumes = self._requests.waits

    # --- behind an upgrade -----------------------------------------------------------------

    def _switch(self, seen: list[Seen]) -> None:
        rest = self._responses.release()
        head = self._last_head
        if self._upgrade != head.request:
            self._lost_answers = True
            self.server = _opaque("behind a 101 that nobody asked for")
            seen += [Unread(rest, "behind a 101 that nobody asked for")] if rest else []
            return
        self._early = self._requests.release()
        self.resumes = bool(self._early)
        if self._responses.switched != b"websocket":
            why = f"another protocol: {self._responses.switched.decode('latin-1')}"
            self._lost_answers = True
            self.client = self.server = _opaque(why)
            seen += [Unread(rest, why)] if rest else []
            return
        self._read_frames(head.raw)
        if rest and self._frames is not None:
            seen += self._frames[1].feed(rest)

    def _read_frames(self, head: bytes) -> None:
        deflate = negotiated(head)
        of_client, of_server = FrameReader(deflate[0]), FrameReader(deflate[1])
        self._frames = of_client, of_server
        self.client, self.server = _framed(of_client), _framed(of_server)


def _framed(reader: FrameReader) -> Callable[[bytes], Step]:
    feed = reader.feed

    def step(data: bytes) -> Step:
        return Step(feed(data), data)  # type: ignore[arg-type]  # list is invariant; it is handed over

    return step


def _opaque(why: str) -> Callable[[bytes], Step]:
    def step(data: bytes) -> Step:
        return Step([Unread(data, why)], data)

    return step


def _unasked(events: list[Event]) -> int:
    return sum(len(event.data) for event in events if isinstance(event, Unasked))


def _with_heads(
    onward: bytes, heads: list[RequestHead], rewrite: Callable[[bytes], bytes]
) -> bytes:
    pieces, at = [], 0
    for head in heads:
        pieces += [onward[at : head.at], rewrite(head.raw)]
        at = head.at + len(head.raw)
    return b"".join([*pieces, onward[at:]])
