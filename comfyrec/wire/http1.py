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
from functools import lru_cache
from typing import Final

import msgspec

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

HEAD_MAX: Final = 64 * 1024
"""Bytes of one head or one trailer section; aiohttp, ComfyUI's server, takes 8 KiB a line."""
FIELDS_MAX: Final = 256
"""Header lines of one head; twice what aiohttp and Apache take."""
CHUNK_LINE_MAX: Final = 4096
"""Bytes of one chunk size line with its extensions."""
METHOD_MAX: Final = 20
"""Bytes of a method name; the longest registered one, BASELINE-CONTROL, has 16."""
MEMOS_MAX: Final = 256
"""Heads whose reading is remembered, over all connections."""
MEMO_BYTES_MAX: Final = 2048
"""Longer heads are read anew each time."""
SIZE_DIGITS_MAX: Final = 18
"""Decimal digits of a Content-Length: below 2^63, the largest that every language can count."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%s) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n" % _TOKEN)
_REQUEST_FIELDS = re.compile(rb"(?:%s:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n" % _TOKEN)
_METHOD = re.compile(_TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_RESPONSE_FIELDS = re.compile(rb"(?:[^\r\n:\x20\x09][^\r\n:]*+:[^\r\n]*+\r\n)*+\r\n")
_STRICT_CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;%s(?:=(?:%s|\"[\x20\x21\x23-\x5b\x5d-\x7e]*\"))?)*" % (_TOKEN, _TOKEN)
)
_LENIENT_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """The start line and fields of a request, through the blank line, as sent."""

    raw: bytes
    at: int
    """Where ``raw`` begins in ``onward`` of the same ``feed``."""
    method: bytes
    target: bytes
    size: int | None
    """Bytes of the body; None when it is chunked."""
    upgrade: bytes = b""
    """The protocol asked for, lower case, when ``Connection`` says so too."""
    closes: bool = False
    """True: the client wants the connection to end with the answer."""


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """The status line and fields of a response, through the blank line, as sent."""

    raw: bytes
    status: int
    size: int | None
    """Bytes of the body; None when it is chunked or ends with the connection."""
    request: int
    """Which request it answers: a number that ``ResponseReader.expect`` gave out."""

    @property
    def interim(self) -> bool:
        """True for 1xx other than 101: another head of the same answer follows."""
        return self.status < 200 and self.status != 101


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


class _ProtocolError(Exception):
    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why, self.status = why, status


Event = RequestHead | ResponseHead | BodyPiece | End | Broken | Unasked

_NO_BODY: Final = frozenset((204, 304))
_MORE: Final = -1  # a step that cannot go on without more bytes


def field_values(lower_head: bytes, name: bytes) -> list[bytes]:
    """The values of a header field in a head that was made lower case; ``name`` likewise."""
    found = []
    mark = b"\r\n" + name + b":"
    at = lower_head.find(mark)
    while at >= 0:
        begin = at + len(mark)
        at = lower_head.find(b"\r\n", begin)
        found.append(lower_head[begin:at].strip(b" \t"))
        at = lower_head.find(mark, at)
    return found


def _tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip(b" \t") for value in values for token in value.split(b",")]


def _content_length(values: list[bytes]) -> int:
    (value,) = values
    if not value.isdigit():
        raise _ProtocolError("the Content-Length is not a number")
    if len(value) > SIZE_DIGITS_MAX:
        raise _ProtocolError("the Content-Length is beyond all bounds", 413)
    return int(value)


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
        except _ProtocolError as error:
            self._break(data, at, error)
            return self._events
        self.onward, self._held = (data, b"") if at == end else (data[:at], data[at:])
        return self._events

    def _break(self, data: bytes, at: int, error: _ProtocolError) -> None:
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
                raise _ProtocolError(f"the head is longer than {HEAD_MAX} bytes", 431)
            return _MORE
        if found + 4 - at > HEAD_MAX:
            raise _ProtocolError(f"the head is longer than {HEAD_MAX} bytes", 431)
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
            raise _ProtocolError("a line that is no chunk size")
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
            raise _ProtocolError("a chunk is longer than its size says")
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
            raise _ProtocolError("lines behind the last chunk that are no trailers")
        self._end(data[at : end - 2])
        return end


class RequestReader(_Reader):
    """What a client sends. After an ``upgrade`` it holds its bytes until ``resume`` or ``release``.

    Args:
        upgrades: protocols that may be asked for; None for any.
    """

    _chunk_line = _STRICT_CHUNK
    _trailer_fields = _REQUEST_FIELDS

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
            head = _request_facts(data[:end])
        except _ProtocolError:
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

    def _break(self, data: bytes, at: int, error: _ProtocolError) -> None:
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
            raise _ProtocolError("bytes follow a request to upgrade")
        if len(data) - at > HEAD_MAX:
            raise _ProtocolError(f"more than {HEAD_MAX} bytes before the answer to an upgrade")
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
        read = _request_facts if end - at <= MEMO_BYTES_MAX else _request_facts.__wrapped__
        head = read(raw)
        if head.upgrade and self._upgrades is not None and head.upgrade not in self._upgrades:
            raise _ProtocolError(f"an upgrade to {_named(head.upgrade)} is not passed on", 501)
        self._upgrading = bool(head.upgrade)
        self._events.append(msgspec.structs.replace(head, at=at) if at else head)
        self._body_follows(head.size)
        return end

    def _check_beginning(self, data: bytes, at: int) -> None:
        """Refuse at once what cannot become a request, rather than wait for the rest."""
        line_end = data.find(b"\n", at)
        if line_end >= 0:
            line = data[at : line_end + 1]
            if _REQUEST_LINE.fullmatch(line) is None:
                raise _bad_request_line(line)
        elif not _could_be_request(data[at : at + METHOD_MAX + 1]):
            raise _bad_request_line(data[at : at + 80])


@lru_cache(maxsize=MEMOS_MAX)
def _request_facts(raw: bytes) -> RequestHead:
    """What a whole head says. A client repeats its heads."""
    first = _REQUEST_LINE.match(raw)
    if first is None:
        raise _bad_request_line(raw[: raw.find(b"\n") + 1])
    if _REQUEST_FIELDS.fullmatch(raw, first.end()) is None:
        raise _bad_field(raw[first.end() :])
    if raw.count(b"\r\n") > FIELDS_MAX + 2:
        raise _ProtocolError(f"more than {FIELDS_MAX} header lines", 431)
    method, target, minor = first.groups()
    if method == b"CONNECT":
        raise _ProtocolError("CONNECT is not passed on: this relay has one upstream only", 501)
    lower = raw.lower()
    hosts = lower.count(b"\r\nhost:")
    if hosts != 1 and (hosts or minor == b"1"):
        raise _ProtocolError(f"{hosts} Host fields instead of one")
    options = _options(lower)
    upgrade = b", ".join(field_values(lower, b"upgrade")) if b"upgrade" in options else b""
    # RFC 9112 section 9.3: HTTP/1.0 goes on only when it says so.
    closes = b"close" in options or (minor == b"0" and b"keep-alive" not in options)
    return RequestHead(raw, 0, method, target, _request_size(lower, minor), upgrade, closes)


def _options(lower: bytes) -> list[bytes]:
    if b"\r\nconnection:" not in lower:
        return []
    return _tokens(field_values(lower, b"connection"))


def _request_size(lower: bytes, minor: bytes) -> int | None:
    if b"\r\ncontent-length:" not in lower and b"\r\ntransfer-encoding:" not in lower:
        return 0
    lengths = field_values(lower, b"content-length")
    codings = field_values(lower, b"transfer-encoding")
    if codings:
        if lengths:
            raise _ProtocolError("Content-Length and Transfer-Encoding in one request")
        if len(codings) > 1 or minor == b"0":
            raise _ProtocolError("Transfer-Encoding twice, or in HTTP/1.0")
        if codings[0] != b"chunked":
            raise _ProtocolError(f"the transfer coding {_named(codings[0])} is not known here", 501)
        return None
    if len(lengths) > 1:
        raise _ProtocolError("more than one Content-Length")
    return _content_length(lengths)


def _could_be_request(line: bytes) -> bool:
    """Whether a beginning without a line end may still become a request line."""
    method = line.partition(b" ")[0]
    return line == b"\r" or (len(method) <= METHOD_MAX and _METHOD.fullmatch(method) is not None)


def _bad_request_line(line: bytes) -> _ProtocolError:
    if line.startswith(b"\x16\x03"):
        return _ProtocolError("the client speaks TLS; this address is plain: use http:// and ws://")
    version = re.fullmatch(rb"\S+ \S+ HTTP/([0-9.]{1,9})\r?\n", line)
    if version:
        if not line.endswith(b"\r\n"):
            return _ProtocolError("the request line ends without a carriage return")
        if version[1] not in (b"1.0", b"1.1"):
            spoken = version[1].decode()
            return _ProtocolError(f"only HTTP/1.1 and 1.0 are spoken here, not {spoken}", 505)
    return _ProtocolError("not an HTTP request: its first line is not one of HTTP/1.1")


def _bad_field(fields: bytes) -> _ProtocolError:
    """What is wrong with a head. What stands in it is not said: it may be a key, and this sentence
    is shown and recorded."""
    for number, line in enumerate(fields.split(b"\r\n"), 2):
        if line and _REQUEST_FIELDS.fullmatch(line + b"\r\n\r\n") is None:
            what = (
                "goes on with the one before it" if line[:1] in b" \t" else "is not a header field"
            )
            return _ProtocolError(f"line {number} of the head {what}")
    return _ProtocolError("no header lines")


_NAMES_TO_SAY: Final = frozenset(
    (b"h2c", b"h2", b"http/2.0", b"websocket", b"gzip", b"deflate", b"compress", b"br", b"zstd")
)


def _named(word: bytes) -> str:
    """A protocol or coding by its name, if it is one that is known to be no secret."""
    return word.decode() if word in _NAMES_TO_SAY else "another name"


class ResponseReader(_Reader):
    """What a server sends. Tell it of each request with ``expect`` before its answer comes."""

    _chunk_line = _LENIENT_CHUNK
    _trailer_fields = _RESPONSE_FIELDS

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
            status, size, _, why = _response_facts(data[:end])
        except _ProtocolError:
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
            raise _ProtocolError("not an HTTP answer")
        end = self._find_head(data, at)
        if end == _MORE:
            return _MORE
        self._accept(data[at:end])
        if self.switched:  # nothing behind a 101 is HTTP
            self._step, self.dead = self._hold, True
        return end

    def _accept(self, raw: bytes) -> None:
        read = _response_facts if len(raw) <= MEMO_BYTES_MAX else _response_facts.__wrapped__
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
            raise _ProtocolError(why)
        self._events.append(ResponseHead(raw, status, size, request))
        if size is None and not chunked:
            self._step = self._read_to_eof
        else:
            self._body_follows(size)

    def _hold(self, data: bytes, at: int) -> int:
        return _MORE


@lru_cache(maxsize=MEMOS_MAX)
def _response_facts(raw: bytes) -> tuple[int, int | None, bool, str]:
    """(status, size, chunked, why its body has no clear end) of a whole head."""
    first = _STATUS_LINE.match(raw)
    if first is None or _RESPONSE_FIELDS.fullmatch(raw, first.end()) is None:
        raise _ProtocolError("an answer whose head is none of HTTP")
    status, lower = int(first[2]), raw.lower()
    lengths = field_values(lower, b"content-length")
    codings = _tokens(field_values(lower, b"transfer-encoding"))
    if codings and lengths:
        return status, None, False, "Content-Length and Transfer-Encoding in one answer"
    if len(set(lengths)) > 1:
        return status, None, False, "different Content-Lengths in one answer"
    try:
        size = _content_length(lengths[:1]) if lengths else None
    except _ProtocolError as error:
        return status, None, False, error.why
    return status, size, codings[-1:] == [b"chunked"], ""
