"""bytes -> HTTP/1.1 messages, one direction, the same wherever the bytes were cut.

``RequestReader`` is strict: what two servers could read in two ways is ``Broken``, so that a relay
that passes on ``onward`` and nothing else passes no hidden request. ``ResponseReader`` takes what a
client would take. Neither raises on any bytes.

Sources: RFC 9112 (syntax, framing, sections 2, 3, 6, 7), RFC 9110 section 7.8 (Upgrade).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from comfyrec.wire.http1_heads import (
    CHUNK_LINE_MAX,
    HEAD_MAX,
    LENIENT_CHUNK,
    MEMO_BYTES_MAX,
    METHOD_MAX,
    REQUEST_FIELDS,
    REQUEST_LINE,
    RESPONSE_FIELDS,
    STRICT_CHUNK,
    ProtocolError,
    RequestHead,
    ResponseHead,
    bad_request_line,
    could_be_request,
    field_values,
    named,
    request_facts,
    response_facts,
)

__all__ = [
    "BodyPiece",
    "Broken",
    "End",
    "RequestHead",
    "RequestReader",
    "ResponseHead",
    "ResponseReader",
    "Unasked",
    "field_values",
]


class BodyPiece(msgspec.Struct, frozen=True, gc=False):
    """Bytes of a body, the transfer coding undone."""

    data: bytes
    chunk: int = 0
    """The size of the chunk that begins with this piece; 0 when none does."""


class End(msgspec.Struct, frozen=True, gc=False):
    """A message is complete. ``trailers`` are its trailer lines as sent."""

    trailers: bytes = b""


class Broken(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no HTTP/1.1 as this side may speak it. Nothing more is read."""

    why: str
    data: bytes
    status: int = 400
    """What to answer a client that sent it."""
    torn: bool = False
    """True: the beginning of the message has already been given out."""


class Unasked(msgspec.Struct, frozen=True, gc=False):
    """Bytes of a server that has answered everything it was asked."""

    data: bytes


Event = RequestHead | ResponseHead | BodyPiece | End | Broken | Unasked

_NO_BODY: Final = frozenset((204, 304))
_MORE: Final = -1  # a step that cannot go on without more bytes


class _Reader:
    """What both directions share: holding what is incomplete, and the body."""

    _chunk_line: re.Pattern[bytes]
    _trailer_fields: re.Pattern[bytes]

    def __init__(self) -> None:
        self.onward = b""
        """The bytes that the last ``feed`` understood, those held before included."""
        self.dead = False
        self._held = b""
        self._left = 0
        self._chunk = 0
        self._events: list[Event] = []
        # One bound method, so that "is" can tell it.
        self._heading: Callable[[bytes, int], int] = self._read_head
        self._step: Callable[[bytes, int], int] = self._heading
        # Where the message began in the data of this feed, and the events before it.
        self._began = _MORE
        self._before = 0

    @property
    def held(self) -> bytes:
        """Bytes that cannot be read before more of them have come."""
        return self._held

    @property
    def idle(self) -> bool:
        """True between two messages, with nothing held."""
        return self._step is self._heading and not self._held

    def feed(self, data: bytes) -> list[Event]:
        """Read on. Afterwards ``onward`` holds the bytes that were understood."""
        self._events = []
        if self.dead:
            self.onward = b""
            return []
        if self._held:
            data = self._held + data
        self._began = _MORE
        return self._run(data)

    def _run(self, data: bytes) -> list[Event]:
        at, end = 0, len(data)
        try:
            while at < end:
                reached = self._step(data, at)
                if reached == _MORE:
                    break
                at = reached
        except ProtocolError as error:
            self._break(data, at, error)
            return self._events
        self.onward, self._held = (data, b"") if at == end else (data[:at], data[at:])
        return self._events

    def _break(self, data: bytes, at: int, error: ProtocolError) -> None:
        self.dead, self._held, self.onward = True, b"", data[:at]
        self._events.append(Broken(error.why, data[at:], error.status, True))

    def _read_head(self, data: bytes, at: int) -> int:
        raise NotImplementedError

    def _find_head(self, data: bytes, at: int) -> int:
        """The end of the head that begins at ``at``, or _MORE."""
        # What is held was searched before, but for the three bytes of a torn mark.
        found = data.find(b"\r\n\r\n", max(at, len(self._held) - 3) if at == 0 else at)
        if found < 0:
            if len(data) - at > HEAD_MAX:
                raise ProtocolError(f"the head is longer than {HEAD_MAX} bytes", 431)
            return _MORE
        if found + 4 - at > HEAD_MAX:
            raise ProtocolError(f"the head is longer than {HEAD_MAX} bytes", 431)
        return found + 4

    def _body_follows(self, size: int | None) -> None:
        if size is None:
            self._step = self._read_chunk_line
        elif size == 0:
            self._end()
        else:
            self._left = size
            self._step = self._read_sized

    def _end(self, trailers: bytes = b"") -> None:
        self._events.append(End(trailers))
        self._step = self._heading

    def _take(self, data: bytes, at: int) -> int:
        """Give out up to ``_left`` bytes of body."""
        upto = min(len(data), at + self._left)
        self._left -= upto - at
        piece = data if upto - at == len(data) else data[at:upto]
        self._events.append(BodyPiece(piece, self._chunk))
        self._chunk = 0
        return upto

    def _read_sized(self, data: bytes, at: int) -> int:
        at = self._take(data, at)
        if not self._left:
            self._end()
        return at

    def _read_chunk_line(self, data: bytes, at: int) -> int:
        found = data.find(b"\r\n", at, at + CHUNK_LINE_MAX + 2)
        line = data[at : found if found >= 0 else at + CHUNK_LINE_MAX + 1]
        if found < 0 and len(line) <= CHUNK_LINE_MAX and b"\n" not in line:
            return _MORE
        matched = self._chunk_line.fullmatch(line) if found >= 0 else None
        if matched is None:
            raise ProtocolError("a line that is not a chunk size")
        self._left = self._chunk = int(matched[1], 16)
        self._step = self._read_chunk if self._left else self._read_trailers
        return found + 2

    def _read_chunk(self, data: bytes, at: int) -> int:
        at = self._take(data, at)
        if not self._left:
            self._step = self._read_chunk_end
        return at

    def _read_chunk_end(self, data: bytes, at: int) -> int:
        mark = data[at : at + 2]
        if not b"\r\n".startswith(mark):
            raise ProtocolError("a chunk is longer than its size says")
        if len(mark) < 2:
            return _MORE
        self._step = self._read_chunk_line
        return at + 2

    def _read_trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self._end()
            return at + 2
        end = self._find_head(data, at)
        if end == _MORE:
            return _MORE
        if self._trailer_fields.fullmatch(data, at, end) is None:
            raise ProtocolError("lines behind the last chunk that are no trailers")
        self._end(data[at : end - 2])
        return end


class RequestReader(_Reader):
    """What a client sends. After an ``upgrade`` it holds its bytes until ``resume`` or ``release``.

    Args:
        upgrades: protocols that may be asked for; None for any.
    """

    _chunk_line = STRICT_CHUNK
    _trailer_fields = REQUEST_FIELDS

    def __init__(self, *, upgrades: frozenset[bytes] | None = frozenset((b"websocket",))) -> None:
        super().__init__()
        self._upgrades = upgrades
        self._upgrading = False

    @property
    def waits(self) -> bool:
        """True while the answer to an upgrade decides what the next bytes mean."""
        return self._step == self._wait

    def whole(self, data: bytes) -> RequestHead | None:
        """The short way for the usual chunk: the head, when ``data`` is one request and no more.

        None: ask ``feed``.
        """
        if self._held or self._step is not self._heading:
            return None
        end = data.find(b"\r\n\r\n", 0, MEMO_BYTES_MAX) + 4
        if end < 4:
            return None
        try:
            head = request_facts(data[:end])
        except ProtocolError:
            return None
        return None if head.upgrade or head.size != len(data) - end or self.dead else head

    def resume(self) -> list[Event]:
        """The upgrade was refused: go on with what was held."""
        self._step = self._heading
        held, self._held = self._held, b""
        return self.feed(held)

    def release(self) -> bytes:
        """The upgrade was accepted: hand over what was held; nothing more is read here."""
        held, self._held, self.dead = self._held, b"", True
        return held

    def eof(self) -> list[Event]:
        """The client has sent its last byte."""
        if self.dead or self._step == self._wait or self.idle:
            return []
        torn = self._step is not self._heading
        held, self._held, self.dead = self._held, b"", True
        return [Broken("the request was cut off", held, torn=torn)]

    def _break(self, data: bytes, at: int, error: ProtocolError) -> None:
        if self._step is self._heading:
            self._began, self._before = at, len(self._events)
        if self._began == _MORE:
            super()._break(data, at, error)
            return
        # Nothing of this message has been given out yet: none of it will be.
        del self._events[self._before :]
        self.dead, self._held, self.onward = True, b"", data[: self._began]
        self._events.append(Broken(error.why, data[self._began :], error.status))

    def _end(self, trailers: bytes = b"") -> None:
        super()._end(trailers)
        if self._upgrading:
            self._step = self._wait

    def _wait(self, data: bytes, at: int) -> int:
        if self._began != _MORE:
            # RFC 6455 section 4.1: a client waits for the answer. What comes in one write with the
            # request could be read as a request by a server that does not switch.
            raise ProtocolError("bytes follow a request to upgrade")
        if len(data) - at > HEAD_MAX:
            raise ProtocolError(f"more than {HEAD_MAX} bytes before the answer to an upgrade")
        return _MORE

    def _read_head(self, data: bytes, at: int) -> int:
        self._upgrading = False
        if data.startswith(b"\r\n", at):  # RFC 9112 section 2.2: to be ignored before a request
            return at + 2
        end = self._find_head(data, at)
        if end == _MORE:
            self._check_beginning(data, at)
            return _MORE
        self._began, self._before = at, len(self._events)
        raw = data[at:end]
        read = request_facts if end - at <= MEMO_BYTES_MAX else request_facts.__wrapped__
        head = read(raw)
        if head.upgrade and self._upgrades is not None and head.upgrade not in self._upgrades:
            raise ProtocolError(f"an upgrade to {named(head.upgrade)} is not passed on", 501)
        self._upgrading = bool(head.upgrade)
        self._events.append(msgspec.structs.replace(head, at=at) if at else head)
        self._body_follows(head.size)
        return end

    def _check_beginning(self, data: bytes, at: int) -> None:
        """Refuse at once what cannot become a request, rather than wait for the rest."""
        line_end = data.find(b"\n", at)
        if line_end >= 0:
            line = data[at : line_end + 1]
            if REQUEST_LINE.fullmatch(line) is None:
                raise bad_request_line(line)
        elif not could_be_request(data[at : at + METHOD_MAX + 1]):
            raise bad_request_line(data[at : at + 80])


class ResponseReader(_Reader):
    """What a server sends. Tell it of each request with ``expect`` before its answer comes."""

    _chunk_line = LENIENT_CHUNK
    _trailer_fields = RESPONSE_FIELDS

    def __init__(self) -> None:
        super().__init__()
        self._asked: deque[tuple[int, bytes]] = deque()
        self._keep_asked = False
        self.switched = b""
        """What a 101 switched to, lower case; from then on nothing is read here."""

    @property
    def outstanding(self) -> int:
        """How many requests are not answered to the end."""
        return len(self._asked)

    @property
    def between(self) -> bool:
        """True when no answer is under way: a reset now cuts nothing off."""
        return not self._asked and self._step is self._heading

    def expect(self, request: int, method: bytes) -> None:
        """A request was passed on; its answer comes after those expected before."""
        self._asked.append((request, method))

    def whole(self, data: bytes) -> ResponseHead | None:
        """The short way: the head, when ``data`` is one answer of known size and no more.

        None: ask ``feed``. The request that it answers is no longer outstanding.
        """
        asked = self._asked
        if self._held or self._step is not self._heading:
            return None
        end = data.find(b"\r\n\r\n", 0, MEMO_BYTES_MAX) + 4
        if end < 4:
            return None
        try:
            status, size, _, why = response_facts(data[:end])
        except ProtocolError:
            return None
        if why or size != len(data) - end or status in _NO_BODY or status < 200 or not asked:
            return None
        if asked[0][1] == b"HEAD":
            return None
        return ResponseHead(data[:end], status, size, asked.popleft()[0])

    def release(self) -> bytes:
        """Hand over the bytes that are held: those behind a 101, or half of something."""
        held, self._held = self._held, b""
        return held

    def eof(self) -> list[Event]:
        """The server has sent its last byte."""
        if self.dead or (self.idle and not self._asked):
            return []
        if self._step == self._read_to_eof:
            self._events = []
            self._end()
            return self._events
        held, self._held, self.dead = self._held, b"", True
        if self._step is self._heading and not held:
            return []
        return [Broken("the answer was cut off", held, torn=self._step is not self._heading)]

    def _end(self, trailers: bytes = b"") -> None:
        super()._end(trailers)
        if not self._keep_asked:
            self._asked.popleft()

    def _read_to_eof(self, data: bytes, at: int) -> int:
        self._events.append(BodyPiece(data[at:] if at else data))
        return len(data)

    def _read_head(self, data: bytes, at: int) -> int:
        if not self._asked:
            self._events.append(Unasked(data[at:]))
            self.dead = True
            return _MORE
        if not data.startswith(b"HTTP/1."[: len(data) - at], at):
            raise ProtocolError("not an HTTP answer")
        end = self._find_head(data, at)
        if end == _MORE:
            return _MORE
        self._accept(data[at:end])
        if self.switched:  # nothing behind a 101 is HTTP
            self._step, self.dead = self._hold, True
        return end

    def _accept(self, raw: bytes) -> None:
        read = response_facts if len(raw) <= MEMO_BYTES_MAX else response_facts.__wrapped__
        status, size, chunked, why = read(raw)
        request, method = self._asked[0]
        self._keep_asked = status < 200 and status != 101
        if status < 200 or status in _NO_BODY or method == b"HEAD":
            self._events.append(ResponseHead(raw, status, 0, request))
            if status == 101:
                self.switched = b", ".join(field_values(raw.lower(), b"upgrade")) or b"?"
            self._end()
            return
        if why:
            raise ProtocolError(why)
        self._events.append(ResponseHead(raw, status, size, request))
        if size is None and not chunked:
            self._step = self._read_to_eof
        else:
            self._body_follows(size)

    def _hold(self, data: bytes, at: int) -> int:
        return _MORE
