"""records <-> JSON Lines: one record a line, for cassettes that are read in a review.

A line is one JSON object whose last member is ``crc``: the CRC-32 of the object without it, byte
for byte. Bytes that are UTF-8 stand as text, others as base64 in a member of the same name with
``_b64``. ``docs/cassette-format.md`` lists every member.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from comfyrec.cassette.content_coding import coding_of, decoded
from comfyrec.cassette.reading import (
    BAD_INPUT,
    BEHIND_A_HOLE,
    HOLE,
    ByteSource,
    RecordOrder,
)
from comfyrec.cassette.records import (
    RECORD_BYTES_MAX,
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Note,
    Opened,
    Raw,
    Session,
    Side,
    WsFrame,
)

__all__ = ["OPCODES", "Line", "TextReader", "encode_line", "encode_lines", "is_text", "line_of"]

OPCODES: Final = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

_WINDOW_BYTES: Final = 1 << 20
_LINE_BYTES_MAX: Final = RECORD_BYTES_MAX // 3 * 4 + (64 << 10)
"""A record of the largest size in base64. A longer line is damage; it is passed over in pieces."""
_SHOWN_BYTES_MAX: Final = 1 << 20
"""Beyond this nobody reads a line."""
_KIND_UNKNOWN: Final = "is of a kind of a newer comfyrec"

_From = Literal["client", "server"]
_SIDES: Final[dict[str, Side]] = {"client": Side.CLIENT, "server": Side.SERVER}
_NAMES: Final[dict[Side, _From]] = {Side.CLIENT: "client", Side.SERVER: "server"}


class Line(msgspec.Struct, tag_field="kind", omit_defaults=True, rename={"sender": "from"}):
    """One record as it stands in a line, members by readable names."""

    seq: int
    t: int


class _Session(Line, tag="session"):
    format: int
    min_reader: int
    tool: str = ""
    upstream: str = ""
    redacted: tuple[str, ...] = ()
    about: dict[str, Any] = {}


class _Opened(Line, tag="opened"):
    conn: int
    peer: str = ""


class _Closed(Line, tag="closed"):
    conn: int
    sender: _From
    how: str | None = None
    why: str = ""


class _Http(Line, tag="http"):
    conn: int
    sender: _From
    exchange: int
    head: str = ""
    head_b64: str = ""
    body: str = ""
    body_b64: str = ""
    trailers: str = ""
    trailers_b64: str = ""
    last: bool = True
    redacted: int = 0
    chunks: tuple[int, ...] = ()
    decoded: str = ""
    """For the eye only: a packed body that is a text, unpacked."""


class _Ws(Line, tag="ws"):
    conn: int
    sender: _From
    opcode: str = ""
    """For the eye only: ``head`` says it."""
    head: str = ""
    text: str = ""
    b64: str = ""
    last: bool = True
    inflated: str | None = None
    inflated_b64: str | None = None
    redacted: int = 0


class _Raw(Line, tag="raw"):
    conn: int
    sender: _From
    text: str = ""
    b64: str = ""
    why: str = ""


class _Note(Line, tag="note"):
    conn: int
    what: str
    text: str = ""
    count: int = 0


class _End(Line, tag="end"):
    records: int = 0


_LINES: Final[tuple[type[Line], ...]] = (
    _Session, _Opened, _Closed, _Http, _Ws, _Raw, _Note, _End,
)  # fmt: skip
_AnyLine = _Session | _Opened | _Closed | _Http | _Ws | _Raw | _Note | _End


class _Number(msgspec.Struct):
    kind: str
    seq: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_AnyLine).decode
_decode_number = msgspec.json.Decoder(_Number).decode


# --- bytes <-> text or base64 ----------------------------------------------------------------


def _split(data: bytes) -> tuple[str, str]:
    """(text, base64): one of them holds the bytes."""
    try:
        return data.decode(), ""
    except UnicodeDecodeError:
        return "", binascii.b2a_base64(data, newline=False).decode()


def _join(text: str, b64: str) -> bytes:
    return binascii.a2b_base64(b64, strict_mode=True) if b64 else text.encode()


# --- record -> line --------------------------------------------------------------------------


def _session_line(r: Session) -> Line:
    return _Session(r.seq, r.t, r.format, r.min_reader, r.tool, r.upstream, r.redacted, r.about)


def _http_line(r: HttpPart) -> Line:
    head, body, trailers = _split(r.head), _split(r.body), _split(r.trailers)
    sender = _NAMES[r.side]
    pairs = (*head, *body, *trailers)
    shown = _unpacked(r) if body[1] and r.head else ""
    return _Http(
        r.seq, r.t, r.conn, sender, r.exchange, *pairs, r.last, r.redacted, r.chunks, shown
    )


def _unpacked(r: HttpPart) -> str:
    """What a packed body says, for whoever reads the line; empty if it is not a text."""
    coding = coding_of(r.head)
    text = decoded(r.body, coding) if coding and r.last else None
    if text is None or len(text) > _SHOWN_BYTES_MAX:
        return ""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return ""


def _ws_line(r: WsFrame) -> Line:
    opcode = OPCODES.get(r.head[0] & 15, "") if r.head else ""
    inflated: tuple[str | None, str | None] = (None, None)
    if r.inflated is not None:
        text, b64 = _split(r.inflated)
        inflated = (None, b64) if b64 else (text, None)
    return _Ws(
        r.seq,
        r.t,
        r.conn,
        _NAMES[r.side],
        opcode,
        r.head.hex(),
        *_split(r.payload),
        r.last,
        *inflated,
        r.redacted,
    )


_TO_LINE: Final[dict[type, Any]] = {
    Session: _session_line,
    Opened: lambda r: _Opened(r.seq, r.t, r.conn, r.peer),
    Closed: lambda r: _Closed(r.seq, r.t, r.conn, _NAMES[r.side], r.how, r.why),
    HttpPart: _http_line,
    WsFrame: _ws_line,
    Raw: lambda r: _Raw(r.seq, r.t, r.conn, _NAMES[r.side], *_split(r.data), r.why),
    Note: lambda r: _Note(r.seq, r.t, r.conn, r.what, r.text, r.count),
    End: lambda r: _End(r.seq, r.t, r.records),
}


def line_of(record: AnyRecord) -> Any:
    """record -> its line, not yet encoded."""
    return _TO_LINE[record.__class__](record)


def encode_line(record: AnyRecord) -> bytes:
    """record -> its line, with checksum and line feed."""
    body = _encode(_TO_LINE[record.__class__](record))
    if len(body) > _LINE_BYTES_MAX:
        raise ValueError(f"a record of {len(body)} bytes; larger bodies go in pieces")
    return b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def encode_lines(records: list[AnyRecord]) -> list[bytes]:
    """records -> their lines."""
    return [encode_line(record) for record in records]


# --- line -> record --------------------------------------------------------------------------


def _session(x: _Session) -> AnyRecord:
    return Session(x.seq, x.t, x.format, x.min_reader, x.tool, x.upstream, x.redacted, x.about)


def _http(x: _Http) -> AnyRecord:
    return HttpPart(
        x.seq,
        x.t,
        x.conn,
        _SIDES[x.sender],
        x.exchange,
        _join(x.head, x.head_b64),
        _join(x.body, x.body_b64),
        _join(x.trailers, x.trailers_b64),
        x.last,
        x.redacted,
        x.chunks,
    )


def _ws(x: _Ws) -> AnyRecord:
    inflated = None
    if x.inflated is not None or x.inflated_b64 is not None:
        inflated = _join(x.inflated or "", x.inflated_b64 or "")
    payload = _join(x.text, x.b64)
    side, head = _SIDES[x.sender], bytes.fromhex(x.head)
    return WsFrame(x.seq, x.t, x.conn, side, head, payload, x.last, inflated, x.redacted)


_FROM_LINE: Final[dict[type, Any]] = {
    _Session: _session,
    _Opened: lambda x: Opened(x.seq, x.t, x.conn, x.peer),
    _Closed: lambda x: Closed(
        x.seq, x.t, x.conn, _SIDES[x.sender], "eof" if x.how is None else x.how, x.why
    ),
    _Http: _http,
    _Ws: _ws,
    _Raw: lambda x: Raw(x.seq, x.t, x.conn, _SIDES[x.sender], _join(x.text, x.b64), x.why),
    _Note: lambda x: Note(x.seq, x.t, x.conn, x.what, x.text, x.count),
    _End: lambda x: End(x.seq, x.t, x.records),
}

_CRC_BYTES: Final = len(b',"crc":"01234567"}')
_CRC: Final = re.compile(rb',"crc":"[0-9a-f]{8}"\}')
_START: Final = b'{"kind":"'
_BEGINNING: Final = b'{"kind":"session"'


def _checked(line: bytes) -> bytes | None:
    """The object without its checksum, if that fits."""
    body = line[:-_CRC_BYTES] + b"}"
    return body if line[-_CRC_BYTES:] == b',"crc":"%08x"}' % zlib.crc32(body) else None


def _record(body: bytes) -> AnyRecord:
    line = _decode(body)
    record: AnyRecord = _FROM_LINE[line.__class__](line)
    return record


def is_text(start: bytes) -> bool:
    """Whether these first bytes (some kB) are of a JSON Lines cassette, whole or damaged."""
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if first.startswith(_BEGINNING) or (first and _BEGINNING.startswith(first)):
        return True
    return _CRC.search(start) is not None


class TextReader:
    """A JSON Lines cassette, from its first record to its end, in constant memory.

    Args:
        source: of the file.
        beyond_holes: read on behind stretches of zeros.
        since: (offset of a line, number of its record) to read on from.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        beyond_holes: bool = False,
        since: tuple[int, int] | None = None,
    ) -> None:
        self._source = source
        self._beyond_holes = beyond_holes
        self._at = 0
        self._stopped = False
        self.order = RecordOrder(source.path, lambda: self._at)
        if since is not None:
            self._at, self.order.expected = since

    def records(self) -> Iterator[AnyRecord]:
        """Every whole record, in order. What is not whole goes to ``order.problems``."""
        order = self.order
        for line in self._lines():
            for body in self._bodies(line):
                record = self._read(body)
                if record is None or (record.seq != order.expected and not order.admits(record)):
                    continue
                if record.__class__ is Session:
                    order.begins(record)
                order.expected = record.seq + 1
                order.last = record
                yield record
            if self._stopped:
                break
        order.finish()

    def _lines(self) -> Iterator[bytes]:
        """Line by line, without line ends; ``_at`` is where the line begins."""
        read_at, size = self._source.read_at, self._source.size()
        pieces: list[bytes] = []
        length, offset = 0, self._at
        while data := read_at(offset, min(_WINDOW_BYTES, size - offset)):
            offset += len(data)
            first, *others = data.split(b"\n")
            pieces.append(first)
            length += len(first)
            for following in others:
                yield b"".join(pieces)
                self._at += length + 1
                pieces, length = [following], len(following)
            if length > _LINE_BYTES_MAX:
                self.order.damage(self._at, "a line longer than any record")
                self._at += length
                pieces, length = [], 0
        if length:
            yield b"".join(pieces)
            self._at += length

    def _bodies(self, line: bytes) -> Iterator[bytes]:
        """The objects of a line whose checksums fit; of a whole line, the one."""
        body = _checked(line)
        if body is None and line.endswith(b"\r"):
            body = _checked(line[:-1])
        if body is None and self._at == 0:
            body = _checked(line.removeprefix(b"\xef\xbb\xbf").lstrip())
        if body is not None:
            yield body
        elif line.strip():
            yield from self._salvaged(line)

    def _salvaged(self, line: bytes) -> Iterator[bytes]:
        """Whole objects inside a damaged line: a lost line feed joins two of them."""
        hole = line.find(HOLE)
        if hole >= 0 and not self._beyond_holes:
            self._stopped = True
            line, why = line[:hole], BEHIND_A_HOLE
        elif self._at + len(line) >= self._source.size() and not line.endswith(b"}"):
            why = "a line is cut off"
        else:
            why = "a line does not fit its checksum"
        self.order.damage(self._at, why)
        at = 0
        for crc in _CRC.finditer(line):
            before = at, crc.start()
            starts = {line.find(_START, *before), line.rfind(_START, *before)}
            bodies = (_checked(line[start : crc.end()]) for start in starts if start >= 0)
            yield from [body for body in bodies if body is not None][:1]
            at = crc.end()

    def _read(self, body: bytes) -> AnyRecord | None:
        try:
            return _record(body)
        except BAD_INPUT as misfit:
            self._unreadable(body, misfit)
            return None

    def _unreadable(self, body: bytes, why: Exception) -> None:
        """A line with a right checksum says nothing that this reader knows."""
        try:
            number = _decode_number(body)
        except BAD_INPUT:
            self.order.damage(self._at, str(why))
            return
        self.order.skip_to(number.seq)
        self.order.expected = number.seq + 1
        known = {line.__struct_config__.tag for line in _LINES}
        reason = str(why) if number.kind in known else f"{_KIND_UNKNOWN} ({number.kind!r})"
        self.order.damage(self._at, f"record {number.seq}: {reason}; it is left out")
