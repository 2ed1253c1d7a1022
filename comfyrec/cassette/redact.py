"""record -> the same record without its secrets.

What is secret is said by names (headers, query parameters, JSON keys, form fields), by shape (keys
of well-known services) and by memory: a value that was met as a secret once is blanked wherever it
occurs later, in binary bodies too. Stand-ins have as many bytes as what they replace and keep JSON
valid, so lengths, offsets and checks of size still hold. ``secret`` has the rules.

Strategy: nearly all traffic holds no secret, and must pay next to nothing. A message without its
digits is its skeleton; skeletons that were found free of suspicious words are remembered, and the
thousand progress frames of a prompt share a handful of them.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import msgspec

from comfyrec.cassette.content_coding import CODINGS, coding_of, inflated, inflater, same_size
from comfyrec.cassette.png_text import PNG, mend_png, packed_texts, readable_parts
from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    HttpPart,
    Note,
    Raw,
    Session,
    Side,
    WsFrame,
)
from comfyrec.cassette.secret_rules import (
    ESCAPE,
    NUMBER,
    SUSPICIOUS,
    SUSPICIOUS_IN_HEAD,
    Span,
    TextScan,
    has_name_in_binary,
    head_spans,
    url_spans,
)
from comfyrec.errors import UsageError

__all__ = ["CLASSES", "Redactor", "check_classes", "hide_in_url"]

CLASSES: Final = {
    "secret": "keys, tokens, passwords, cookies: always",
}
"""Classes of redaction that this version applies. ``identity`` (stable stand-ins for ids, hosts and
paths) and ``content`` (prompts, names, pixels) join here with the rules that they need."""

_LATER: Final = ("identity", "content")


def check_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The classes to apply, ``secret`` among them.

    Raises:
        UsageError: a class that is unknown, or not available yet.
    """
    wanted = tuple(dict.fromkeys(("secret", *names)))
    for name in wanted:
        if name in _LATER:
            raise UsageError(
                f"--redact {name}: this version cannot take out that class yet; leave it away and "
                f"keep the cassette to yourself"
            )
        if name not in CLASSES:
            raise UsageError(f"--redact {name}: there is no such class; there is 'secret'")
    return wanted


# --- known secrets ---------------------------------------------------------------------------

_LEARN_BYTES_MIN: Final = 8
_GIVEN_BYTES_MIN: Final = 4
_LEARN_BYTES_MAX: Final = 8192
_KNOWN_MAX: Final = 256


def _is_distinctive(value: bytes) -> bool:
    """Whether a value may be blanked wherever it occurs without hitting ordinary words."""
    if not _LEARN_BYTES_MIN <= len(value) <= _LEARN_BYTES_MAX or not value.strip(b"x*"):
        return False
    kinds = sum(
        bool(re.search(kind, value)) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]", rb"[^\w]")
    )
    return kinds >= 2 or len(value) >= 20


def _forms(value: bytes) -> Iterator[bytes]:
    """A secret as it may stand elsewhere: plain, escaped for JSON, escaped for a URL."""
    yield value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield msgspec.json.encode(text)[1:-1]
    yield quote(text, safe="").encode()


def _blank(data: bytes, spans: Iterable[Span]) -> tuple[bytes, int]:
    """Put x in place of the spans. Digits stay digits, so that a number stays a number."""
    out, count = bytearray(data), 0
    for start, stop in spans:
        if stop > start:
            number = NUMBER.fullmatch(data, start, stop) and data[start - 1 : start] not in b"\"'"
            fill = b"1" if number else b"x"
            if out[start:stop] != fill * (stop - start):
                out[start:stop] = fill * (stop - start)
                count += 1
    return bytes(out), count


# --- the redactor ----------------------------------------------------------------------------

_SKELETON: Final = b"0123456789"
_SKELETON_BYTES_MAX: Final = 4096
_SKELETONS_MAX: Final = 4096
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}")
_FIN: Final = 0x80
_DEFLATED: Final = 0x40
"""The bit of a frame header that begins a deflated message (RFC 7692)."""
_DEFLATE_WINDOW_BYTES: Final = 32 << 10
_INFLATED_BYTES_MAX: Final = 16 << 20
_SEAM_BYTES: Final = 256
_LARGE_MAX: Final = 1024


def _remember(clean: set[bytes], skeleton: bytes) -> None:
    if len(clean) >= _SKELETONS_MAX:
        clean.clear()
    clean.add(skeleton)


def _suspects(data: bytes, *, may_be_form: bool = True) -> bool:
    """Whether these bytes need a closer look: cheap, and right to say no."""
    if _CONTROL.search(data[:64] + data[len(data) // 2 :][:64] + data[-64:]):
        return has_name_in_binary(data, may_be_form=may_be_form)
    lowered = data.lower()
    return any(lowered.find(word) >= 0 for word in SUSPICIOUS) or ESCAPE.search(data) is not None


class _Stream(NamedTuple):
    """What must be remembered of a message that comes in pieces."""

    scan: TextScan
    tail: bytes


class _Coded:
    """A body under a content coding that comes in pieces."""

    def __init__(self, coding: bytes) -> None:
        self.coding = coding
        self.inflater = inflater(coding)
        self.scan = TextScan()
        self.spoiled = False


class _Told:
    """What one side has said in deflated messages, as far back as deflate looks."""

    def __init__(self) -> None:
        self._recent: deque[bytes] = deque()
        self._size = 0
        self.open = False
        self.final = False
        self.spoiled = False
        self.scan = TextScan()
        self._inflater = zlib.decompressobj(-15)

    def begin(self) -> None:
        """The first frame of a message that goes on."""
        window = b"".join(self._recent)[-_DEFLATE_WINDOW_BYTES:]
        self._inflater = zlib.decompressobj(-15, zdict=window)
        self.open, self.spoiled, self.scan = True, False, TextScan()

    def inflate(self, payload: bytes) -> bytes:
        """What a frame adds to the message; nothing where its bytes make no sense."""
        try:
            return self._inflater.decompress(payload, _INFLATED_BYTES_MAX)
        except zlib.error:
            return b""

    def end(self, message: bytes) -> None:
        """A whole message, which the next ones may refer to."""
        self.open = False
        self._recent.append(message[-_DEFLATE_WINDOW_BYTES:])
        self._size += len(self._recent[-1])
        while self._size - len(self._recent[0]) >= _DEFLATE_WINDOW_BYTES:
            self._size -= len(self._recent.popleft())


class Redactor:
    """Takes secrets out of records, in the order in which they were recorded.

    It remembers the secrets that it meets, so use one redactor for one recording.
    """

    def __init__(
        self, known_secrets: Iterable[str | bytes] = (), *, classes: Iterable[str] = ("secret",)
    ) -> None:
        self.classes = check_classes(classes)
        self._known: dict[bytes, None] = {}
        self._clean: set[bytes] = set()
        self._clean_heads: set[bytes] = set()
        self._clean_bodies: set[tuple[int, int]] = set()
        self._told: dict[tuple[int, Side], _Told] = {}
        self._coded: dict[tuple[int, Side, bool], _Coded] = {}
        self._streams: dict[tuple[int, Side, bool], _Stream] = {}
        for secret in known_secrets:
            self._learn(secret.encode() if isinstance(secret, str) else secret, given=True)
        self._by_kind: dict[type, Callable[..., AnyRecord]] = {
            WsFrame: self._frame,
            HttpPart: self._part,
            Raw: self._raw,
            Note: self._note,
            Closed: self._closed,
            Session: self._session,
        }

    @property
    def known(self) -> tuple[bytes, ...]:
        """The secrets met or given so far."""
        return tuple(self._known)

    def knows_secrets(self) -> bool:
        """Whether any secret was met or given so far."""
        return bool(self._known)

    def record(self, record: AnyRecord) -> AnyRecord:
        """The record without its secrets; the very same object when it has none."""
        if (
            record.__class__ is WsFrame
            and record.head[:1] == b"\x81"
            and record.last
            and self.is_clean_text(record.payload)
        ):
            return record
        handle = self._by_kind.get(record.__class__)
        return record if handle is None else handle(record)

    def is_clean_text(self, payload: bytes) -> bool:
        """Whether a whole text frame holds no secret, told quickly; False is 'look closer'."""
        if len(payload) >= _SKELETON_BYTES_MAX:
            return False
        skeleton = payload.translate(None, _SKELETON)
        return skeleton in self._clean or self._is_clean(skeleton)

    def _is_clean(self, skeleton: bytes) -> bool:
        """Whether no text of this skeleton can hold a secret; remembered if so."""
        if b"\\u" in skeleton or _suspects(skeleton) or self._may_hold_known(skeleton):
            return False
        _remember(self._clean, skeleton)
        return True

    def _is_clean_head(self, head: bytes) -> bool:
        """The same for the start line and fields of a message."""
        skeleton = head.translate(None, _SKELETON)
        if skeleton in self._clean_heads:
            return True
        lowered = skeleton.lower()
        if any(lowered.find(word) >= 0 for word in SUSPICIOUS_IN_HEAD):
            return False
        if self._may_hold_known(skeleton):
            return False
        _remember(self._clean_heads, skeleton)
        return True

    def _may_hold_known(self, skeleton: bytes) -> bool:
        return any(skeleton.find(s.translate(None, _SKELETON)) >= 0 for s in self._known)

    # --- what is learned -------------------------------------------------------------------

    def _learn(self, value: bytes, *, given: bool = False) -> None:
        value = value.strip()
        enough = len(value) >= _GIVEN_BYTES_MIN if given else _is_distinctive(value)
        if not enough:
            return
        for form in _forms(value):
            if form not in self._known and len(self._known) < _KNOWN_MAX:
                self._known[form] = None
                self._clean.clear()
                self._clean_heads.clear()
                self._clean_bodies.clear()

    def _learn_value(self, value: bytes) -> None:
        """Remember a value as it stands, and what it says when its coding is undone."""
        self._learn(value)
        if b"%" in value:
            self._learn(unquote_to_bytes(value))
        if b"\\" in value:
            self._learn_unescaped(value)
        if _BASE64.fullmatch(value) and len(value) % 4 == 0:
            user, colon, password = binascii.a2b_base64(value).partition(b":")
            if colon and user.isascii():
                self._learn(password)

    def _learn_unescaped(self, value: bytes) -> None:
        try:
            text: str = msgspec.json.decode(b'"' + value + b'"', type=str)
        except (msgspec.MsgspecError, UnicodeError):
            return
        self._learn(text.encode())

    # --- fields ----------------------------------------------------------------------------

    def _apply(self, data: bytes, spans: list[Span]) -> tuple[bytes, int]:
        """Blank these spans, and every known secret."""
        for start, stop in spans:
            self._learn_value(data[start:stop])
        for secret in self._known:
            at = data.find(secret)
            while at >= 0:
                spans.append((at, at + len(secret)))
                at = data.find(secret, at + len(secret))
        if not spans:
            return data, 0
        blanked, count = _blank(data, spans)
        return (mend_png(data, blanked) if count and PNG in data[:256] else blanked), count

    def _head(self, head: bytes) -> tuple[bytes, int]:
        if not head or self._is_clean_head(head):
            return head, 0
        return self._apply(head, head_spans(head))

    def _text_spans(self, data: bytes, scan: TextScan) -> list[Span]:
        """Where the secrets stand in a text or a binary body, or a piece of one."""
        seam = scan.carry and _suspects(scan.carry + data[:_SEAM_BYTES])
        form = scan.may_be_form(data)
        if not (scan.is_open or seam or _suspects(readable_parts(data), may_be_form=form)):
            scan.skip(data)
            return []
        spans = scan.feed(data)
        for value in scan.learned:
            self._learn_value(value)
        for start, stop, text in packed_texts(data):
            if _suspects(text) and TextScan().feed(text):
                spans.append((start, stop))
        return spans

    def _body(self, data: bytes, key: tuple[int, Side, bool], *, last: bool) -> tuple[bytes, int]:
        """A body or payload, or a piece of it."""
        stream = self._streams.pop(key, None)
        if stream is None and last and self._is_clean_body(data):
            return data, 0
        scan, tail = stream or (TextScan(), b"")
        spans = self._text_spans(data, scan)
        spans += self._across(tail, data)
        blanked, count = self._apply(data, spans)
        if not last:
            longest = max(map(len, self._known), default=1)
            self._streams[key] = _Stream(scan, (tail + data[-longest:])[-longest:])
            blanked, count = self._half_at_the_end(data, blanked, count)
        elif not count and stream is None and len(data) >= _SKELETON_BYTES_MAX:
            if len(self._clean_bodies) >= _LARGE_MAX:
                self._clean_bodies.clear()
            self._clean_bodies.add((len(data), zlib.crc32(data)))
        return blanked, count

    def _is_clean_body(self, data: bytes) -> bool:
        """Whether a whole body is empty, or like one that was looked through before."""
        if len(data) >= _SKELETON_BYTES_MAX:
            return (len(data), zlib.crc32(data)) in self._clean_bodies
        skeleton = data.translate(None, _SKELETON)
        return not data or skeleton in self._clean or self._is_clean(skeleton)

    def _across(self, tail: bytes, data: bytes) -> Iterator[Span]:
        """The rest of a known secret whose first half stood in the piece before."""
        for secret in self._known if tail else ():
            for size in range(1, len(secret)):
                rest = secret[size:]
                if tail.endswith(secret[:size]) and data[: len(rest)] == rest[: len(data)]:
                    yield 0, min(len(rest), len(data))

    def _half_at_the_end(self, data: bytes, blanked: bytes, count: int) -> tuple[bytes, int]:
        """Blank the first half of a known secret that the end of a piece cuts through."""
        for secret in self._known:
            for size in range(min(len(secret) - 1, len(data)), 3, -1):
                if data.endswith(secret[:size]):
                    return blanked[:-size] + b"x" * size, count + 1
        return blanked, count

    # --- records ---------------------------------------------------------------------------

    def _part(self, part: HttpPart) -> AnyRecord:
        head, in_head = self._head(part.head)
        trailers, in_trailers = self._head(part.trailers)
        body, in_body = self._http_body(part)
        count = in_head + in_trailers + in_body
        if not count:
            return part
        return msgspec.structs.replace(
            part, head=head, body=body, trailers=trailers, redacted=part.redacted + count
        )

    def _http_body(self, part: HttpPart) -> tuple[bytes, int]:
        key = part.conn, part.side, True
        coded = self._coded.pop(key, None)
        if part.head:
            coding = coding_of(part.head)
            coded = _Coded(coding) if coding in CODINGS and part.body else None
        if coded is None:
            return self._body(part.body, key, last=part.last)
        if not part.last:
            self._coded[key] = coded
        if part.head and part.last:
            return self._coded_body(part.body, coded.coding)
        return self._coded_piece(part.body, coded)

    def _coded_body(self, body: bytes, coding: bytes) -> tuple[bytes, int]:
        """A whole body as gzip or deflate: changed inside, with the same size outside."""
        text = inflated(body, coding)
        if text is None:
            return self._apply(body, [])
        changed, count = self._apply(text, self._text_spans(text, TextScan()))
        if not count:
            return body, 0
        return same_size(changed, coding, len(body)) or bytes(len(body)), count

    def _coded_piece(self, piece: bytes, coded: _Coded) -> tuple[bytes, int]:
        """A piece of a larger one. From the first secret on its bytes are zeros: what is deflated
        cannot be changed in the middle."""
        if not coded.spoiled:
            try:
                text = coded.inflater.decompress(piece, _INFLATED_BYTES_MAX)
            except zlib.error:
                return self._apply(piece, [])
            coded.spoiled = self._apply(text, self._text_spans(text, coded.scan))[1] > 0
        return (bytes(len(piece)), 1) if coded.spoiled else (piece, 0)

    def _frame(self, frame: WsFrame) -> AnyRecord:
        if frame.inflated is not None:
            return self._inflated(frame)
        opcode = frame.head[0] & 15 if frame.head else 0
        told = self._told.get((frame.conn, frame.side))
        if (frame.head and frame.head[0] & _DEFLATED) or (told and told.open and opcode < 8):
            return self._fragment(frame)
        if opcode >= 8:
            payload, count = self._apply(frame.payload, [])
        else:
            ends = frame.last and (not frame.head or bool(frame.head[0] & 0x80))
            payload, count = self._body(frame.payload, (frame.conn, frame.side, False), last=ends)
        if not count:
            return frame
        return msgspec.structs.replace(frame, payload=payload, redacted=frame.redacted + count)

    def _fragment(self, frame: WsFrame) -> AnyRecord:
        """A piece of a deflated message: inflated here, since its bytes are written before the
        end of the message comes."""
        key = frame.conn, frame.side
        told = self._told.setdefault(key, _Told())
        if frame.head and frame.head[0] & _DEFLATED:
            told.begin()
        if frame.head:
            told.final = bool(frame.head[0] & _FIN)
        told.open = not (frame.last and told.final)
        if not told.spoiled:
            text = told.inflate(frame.payload)
            told.spoiled = self._apply(text, self._text_spans(text, told.scan))[1] > 0
        if not told.spoiled:
            return frame
        return msgspec.structs.replace(frame, payload=b"", redacted=frame.redacted + 1)

    def _inflated(self, frame: WsFrame) -> AnyRecord:
        """Deflated bytes cannot be changed in place; the whole message stands beside them."""
        message = frame.inflated or b""
        self._told.setdefault((frame.conn, frame.side), _Told()).end(message)
        inflated, count = self._apply(message, self._text_spans(message, TextScan()))
        if not count:
            return frame
        return msgspec.structs.replace(
            frame, payload=b"", inflated=inflated, redacted=frame.redacted + count
        )

    def _raw(self, raw: Raw) -> AnyRecord:
        spans = head_spans(raw.data) + self._text_spans(raw.data, TextScan())
        data, count = self._apply(raw.data, spans)
        why = self._words(raw.why)
        if not count and why == raw.why:
            return raw
        return msgspec.structs.replace(raw, data=data, why=why)

    def _note(self, note: Note) -> AnyRecord:
        text = self._words(note.text)
        return note if text == note.text else msgspec.structs.replace(note, text=text)

    def _closed(self, closed: Closed) -> AnyRecord:
        for is_http in (True, False):
            self._streams.pop((closed.conn, closed.side, is_http), None)
        self._coded.pop((closed.conn, closed.side, True), None)
        self._told.pop((closed.conn, closed.side), None)
        why = self._words(closed.why)
        return closed if why == closed.why else msgspec.structs.replace(closed, why=why)

    def _session(self, session: Session) -> AnyRecord:
        upstream = self._words(hide_in_url(session.upstream))
        facts = msgspec.json.encode(session.about).decode()
        told = self._words(facts)
        if upstream == session.upstream and told == facts:
            return session
        about = msgspec.json.decode(told, type=dict[str, Any])
        return msgspec.structs.replace(session, upstream=upstream, about=about)

    def _words(self, text: str) -> str:
        data = text.encode("utf-8", "replace")
        return self._apply(data, self._text_spans(data, TextScan()))[0].decode("utf-8", "replace")


def hide_in_url(url: str) -> str:
    """A URL without user, password and tokens, for showing and storing."""
    data = url.encode("utf-8", "replace")
    return _blank(data, url_spans(data))[0].decode("utf-8", "replace")
