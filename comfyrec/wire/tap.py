"""A whole connection, both directions: what may go on, and what was seen of it.

A tap stands beside a relay. Each chunk that a side sent is fed to ``client`` or ``server``; the
``Step`` that comes back says what was seen (to be written down first), which bytes go on to the
other side (then), and whether the connection must stop. Bytes of a client go on when they are
understood, so that no hidden request passes; bytes of a server go on as they came, but for an
answer that nobody asked for. What cannot be read is seen as ``Unread``. Nothing raises.

What has come of a message is seen at once, so that it is on disk before it goes on. Only what
cannot be read yet (half a head, half the header of a frame) waits, and goes on with what completes
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, final

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
)
from comfyrec.wire.websocket import Frame, FrameReader, Unread, negotiated

__all__ = ["Part", "Seen", "Step", "Stop", "Tap"]


@final
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


Seen = Part | Frame | Unread


class Step(NamedTuple):
    """What follows from one chunk."""

    seen: list[Seen]
    onward: bytes
    stop: Stop | None = None


class _Message:
    """One HTTP message on its way into parts."""

    __slots__ = ("_chunks", "_exchange", "_head", "_pieces")

    def __init__(self, exchange: int, head: bytes) -> None:
        self._exchange, self._head = exchange, head
        self._pieces: list[bytes] = []
        self._chunks: list[int] = []

    def more(self, piece: BodyPiece) -> None:
        self._pieces.append(piece.data)
        if piece.chunk:
            self._chunks.append(piece.chunk)

    def rest(self) -> Part | None:
        """At the end of a chunk: what came of a message that goes on."""
        return self.take(last=False) if self._pieces or self._head else None

    def take(self, trailers: bytes = b"", *, last: bool) -> Part:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        part = Part(self._exchange, self._head, body, trailers, last, tuple(self._chunks))
        if not last:
            self._head = b""
            pieces.clear()
            self._chunks.clear()
        return part


def _add_rest(message: _Message, seen: list[Seen]) -> None:
    part = message.rest()
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
        readers = self._frames or (self._requests, self._responses)
        held = readers[0].held if of_client else readers[1].held
        self._lost_answers = True
        self.client = self.server = step = _opaque("relayed without being read")
        return step(held + data)

    def client_eof(self) -> Step:
        """The client has sent its last byte. Half a request does not go on."""
        if self._frames is not None:
            held = self._frames[0].held
            return Step(list(self._frames[0].eof()), held)
        return Step(self._unfinished(self._requests.eof(), self._request), b"")

    def server_eof(self) -> Step:
        """The server has sent its last byte."""
        if self._frames is not None:
            held = self._frames[1].held
            return Step(list(self._frames[1].eof()), held)
        seen: list[Seen] = []
        held = self._responses.held
        events = self._responses.eof()
        if events and isinstance(events[0], End):
            self._answered(events, seen)
            return Step(seen, held)
        return Step(self._unfinished(events, self._response), held)

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
            _add_rest(self._request, seen)
        if self._rewrite is not None and heads:
            onward = _with_heads(onward, heads, self._rewrite)
        return Step(seen, onward, stop)

    def _ask(self, head: RequestHead) -> None:
        number = self._number(head)
        wanted = number not in self._unwanted
        self._request = _Message(number, head.raw) if wanted else None

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
        held = self._responses.held
        events = self._responses.feed(data)
        # What the server adds to its last answer, unasked, is not among them: a client would take
        # it for the next answer.
        onward = self._responses.onward
        stop = self._answered(events, seen)
        if self._lost_answers:
            onward = held + data
        elif self._responses.switched and stop is None:
            onward += self._switch(seen)
        return Step(seen, onward, stop)

    def _answered(self, events: list[Event], seen: list[Seen]) -> Stop | None:
        for event in events:
            if isinstance(event, ResponseHead):
                if event.request not in self._unwanted:
                    self._response = _Message(event.request, event.raw)
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
                self._responses.release()
                return Stop("the upstream sent an answer that nobody asked for")
        if self._response is not None:
            _add_rest(self._response, seen)
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

    def _switch(self, seen: list[Seen]) -> bytes:
        """From here on it is not HTTP; what goes on of the bytes that came behind the 101."""
        rest = self._responses.release()
        head = self._last_head
        if self._upgrade != head.request:
            self._lost_answers = True
            self.server = _opaque("behind a 101 that nobody asked for")
            seen += [Unread(rest, "behind a 101 that nobody asked for")] if rest else []
            return rest
        self._early = self._requests.release()
        self.resumes = bool(self._early)
        if self._responses.switched != b"websocket":
            why = f"another protocol: {self._responses.switched.decode('latin-1')}"
            self._lost_answers = True
            self.client = self.server = _opaque(why)
            seen += [Unread(rest, why)] if rest else []
            return rest
        self._read_frames(head.raw)
        if not rest:
            return b""
        step = self.server(rest)
        seen += step.seen
        return step.onward

    def _read_frames(self, head: bytes) -> None:
        deflate = negotiated(head)
        of_client, of_server = FrameReader(deflate[0]), FrameReader(deflate[1])
        self._frames = of_client, of_server
        self.client, self.server = _framed(of_client), _framed(of_server)


def _framed(reader: FrameReader) -> Callable[[bytes], Step]:
    feed = reader.feed

    def step(data: bytes) -> Step:
        before = reader.held
        seen = feed(data)
        held = reader.held
        if before or held:
            data = before + data
            data = data[: len(data) - len(held)]
        return Step(seen, data)  # type: ignore[arg-type]  # list is invariant; it is handed over

    return step


def _opaque(why: str) -> Callable[[bytes], Step]:
    def step(data: bytes) -> Step:
        return Step([Unread(data, why)], data)

    return step


def _with_heads(
    onward: bytes, heads: list[RequestHead], rewrite: Callable[[bytes], bytes]
) -> bytes:
    pieces, at = [], 0
    for head in heads:
        pieces += [onward[at : head.at], rewrite(head.raw)]
        at = head.at + len(head.raw)
    return b"".join([*pieces, onward[at:]])
