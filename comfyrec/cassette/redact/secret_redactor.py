"""record -> the same record without its secrets.

What is secret is said by the rules (names and shapes, each in its places) and by memory: a value
that was met as a secret and could not be an ordinary word is blanked wherever it occurs later, in
any of the ways in which it may be written, in binary bodies too. Stand-ins have as many bytes as
what they replace and keep JSON valid, so lengths, offsets and checks of size still hold.

Strategy: nearly all traffic holds no secret, and must pay next to nothing. A message without its
digits is its skeleton; skeletons that no rule could find anything in are remembered, and the
thousand progress frames of a prompt share a handful of them.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from comfyrec.cassette.content_coding import coding_of, is_readable, same_size
from comfyrec.cassette.records import (
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
from comfyrec.cassette.redact.address import hide_in_url
from comfyrec.cassette.redact.body import AnyWalk, is_code, is_code_target, walk_for
from comfyrec.cassette.redact.head import fields_found, head_found
from comfyrec.cassette.redact.messages import (
    CONTROL,
    DEFLATED,
    FIN,
    CodedMessage,
    DeflatedSide,
    Message,
)
from comfyrec.cassette.redact.rules import may_hold_secret
from comfyrec.cassette.redact.search.known import KnownSecrets
from comfyrec.cassette.redact.spans import Found, Learn, blanked
from comfyrec.cassette.redact.text import TextWalk
from comfyrec.cassette.redact.values import is_distinctive
from comfyrec.cassette.redact.walk import Walk

__all__ = ["SecretRedactor"]

_GIVEN_BYTES_MIN: Final = 4
_SKELETON: Final = b"0123456789"
_SKELETON_BYTES_MAX: Final = 4096
_REMEMBERED_MAX: Final = 4096
_MESSAGE_BYTES_MAX: Final = 8192
"""A longer message is not remembered with its head."""
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}")
_LINE: Final = re.compile(rb"[A-Za-z0-9+/=]{40,}")


class SecretRedactor:
    """Takes secrets out of records, in the order in which they were recorded.

    It remembers the secrets that it meets, so use one redactor for one recording.
    """

    def __init__(
        self, known_secrets: Iterable[str | bytes] = (), headers: Iterable[str] = ()
    ) -> None:
        self._headers = frozenset(name.lower().encode("latin-1", "replace") for name in headers)
        self._known = KnownSecrets()
        self._clean: set[bytes] = set()
        self._clean_heads: set[bytes] = set()
        self._clean_messages: set[tuple[bytes, bytes]] = set()
        self._clean_bodies: set[tuple[type[Walk], int, int]] = set()
        self._unread: dict[tuple[int, str], None] = {}
        self._said: set[tuple[int, str]] = set()
        self._forget_messages()
        for secret in known_secrets:
            value = (secret.encode() if isinstance(secret, str) else secret).strip()
            if len(value) >= _GIVEN_BYTES_MIN:
                self._know(value)
        self._by_kind: dict[type, Callable[..., AnyRecord]] = {
            WsFrame: self._frame,
            HttpPart: self._part,
            Raw: self._raw,
            Note: self._note,
            Closed: self._closed,
            Session: self._session,
            Opened: _as_it_is,
            End: _as_it_is,
        }

    def _forget_messages(self) -> None:
        self._code: set[tuple[int, int]] = set()
        self._sides: dict[tuple[int, Side], DeflatedSide] = {}
        self._bodies: dict[tuple[int, Side], Message | CodedMessage] = {}
        self._messages: dict[tuple[int, Side], Message] = {}
        self._controls: dict[tuple[int, Side], Message] = {}
        self._raws: dict[tuple[int, Side], Message] = {}

    @property
    def known(self) -> tuple[bytes, ...]:
        """The secrets met or given so far."""
        return self._known.values

    def knows_secrets(self) -> bool:
        """Whether any secret was met or given so far."""
        return bool(self._known)

    def rescan(self) -> None:
        """The same records come once more, from the first on, for the secrets met since."""
        self._forget_messages()

    def take_unread(self) -> list[tuple[int, str]]:
        """What was not looked into since this was asked last: connection and why, each once."""
        if not self._unread:
            return []
        new = [key for key in self._unread if key not in self._said]
        self._said.update(new)
        self._unread.clear()
        return new

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
        assert handle is not None, f"nothing says what to redact of {type(record).__name__}"
        return handle(record)

    # --- quick looks -----------------------------------------------------------------------

    def is_clean_text(self, payload: bytes) -> bool:
        """Whether a whole text holds no secret, told quickly; False is 'look closer'."""
        if len(payload) >= _SKELETON_BYTES_MAX:
            return False
        skeleton = payload.translate(None, _SKELETON)
        return skeleton in self._clean or self._is_clean(skeleton)

    def _is_clean(self, skeleton: bytes) -> bool:
        """Whether no text of this skeleton can hold a secret; remembered if so."""
        if b"\0" in skeleton or may_hold_secret(skeleton) or self._may_hold_known(skeleton):
            return False
        if len(self._clean) >= _REMEMBERED_MAX:
            self._clean.clear()
        self._clean.add(skeleton)
        return True

    def _may_hold_known(self, skeleton: bytes) -> bool:
        if not self._known:
            return False
        if self._known.may_stand_in(skeleton):
            return True
        # A form of one that is written with entities or as a form: seldom, so it is not ruled out.
        return b"&" in skeleton or b"+" in skeleton or b"\\/" in skeleton

    # --- what is learned -------------------------------------------------------------------

    def _know(self, value: bytes) -> None:
        if self._known.add(value):
            for remembered in (
                self._clean, self._clean_heads, self._clean_messages, self._clean_bodies,
            ):  # fmt: skip
                remembered.clear()

    def _learn(self, value: bytes, learn: Learn) -> None:
        """Remember a value as it stands, and what it says when its writing is undone."""
        certain = learn is Learn.IF_DISTINCTIVE
        value = value.strip()
        written = [value]
        if b"%" in value:
            written.append(unquote_to_bytes(value))
        if b"\\" in value:
            written.append(_unescaped(value))
        if _BASE64.fullmatch(value) and len(value) % 4 == 0:
            user, colon, password = binascii.a2b_base64(value).partition(b":")
            if colon and user.isascii() and user.isalnum():
                written.append(password)
        elif certain and b":" in value:
            written.append(value.partition(b":")[2])  # user:password in an address
        if value.count(b"\n") + value.count(b"\\n") > 1:
            written += _LINE.findall(value)
        for one in written:
            if is_distinctive(one, certain=certain):
                self._know(one)

    # --- bytes -----------------------------------------------------------------------------

    def _search(self, data: bytes) -> list[Found]:
        """Where known secrets stand in these bytes, however they are written."""
        if not self._known:
            return []
        return [Found(*span, Learn.NEVER) for span in self._known.spans_in(data)]

    def _taken_out(self, data: bytes, found: list[Found]) -> tuple[bytes, int]:
        """Blank what was found, having learnt it, and every known secret."""
        for start, stop, learn in found:
            if learn:
                self._learn(data[start:stop], learn)
        return blanked(data, found + self._search(data))

    def _whole(self, data: bytes, walk: Walk) -> tuple[bytes, int]:
        """A whole body or message."""
        return self._piece(data, Message(walk), last=True)

    def _piece(self, data: bytes, message: Message, *, last: bool) -> tuple[bytes, int]:
        """A piece of a body or message, in which a secret may begin or end that is not all here."""
        walk = message.walk
        found = walk.feed(data)
        if last:
            walk.end()
        for value in walk.learned:
            self._learn(value, Learn.IF_RANDOM)
        walk.learned = []
        for start, stop, learn in found:
            if learn:
                self._learn(data[start:stop], learn)
        if self._known:
            offset = len(message.tail)
            known = self._search(message.tail + data if offset else data)
            found += [
                Found(max(0, start - offset), stop - offset, learn)
                for start, stop, learn in known
                if stop > offset
            ]
            if not last:
                message.tail = (message.tail + data[-self._known.longest :])[-self._known.longest :]
                begun = self._known.begun_at_end(message.tail)
                if begun:
                    found.append(Found(max(0, len(data) - begun), len(data), Learn.NEVER))
        out, count = blanked(data, found) if found else (data, 0)
        settled = walk.settle(data, out)
        return settled, count or int(settled is not data and settled != data)

    def _words(self, text: str) -> str:
        data = text.encode("utf-8", "replace")
        out, count = self._taken_out(data, TextWalk().feed(data))
        return out.decode("utf-8", "replace") if count else text

    # --- HTTP ------------------------------------------------------------------------------

    def _head(self, head: bytes) -> tuple[bytes, int]:
        if not head or head in self._clean_heads:
            return head, 0
        found = head_found(head)
        if self._headers:
            found += fields_found(head, self._headers)
        out, count = self._taken_out(head, found)
        if not count:
            if len(self._clean_heads) >= _REMEMBERED_MAX:
                self._clean_heads.clear()
            self._clean_heads.add(head)
        return out, count

    def _part(self, part: HttpPart) -> AnyRecord:
        key = part.head, part.body
        is_whole = bool(part.last and part.head and not part.trailers)
        if is_whole and key in self._clean_messages:
            return part
        code = self._is_code(part)
        head, in_head = self._head(part.head)
        trailers, in_trailers = self._head(part.trailers)
        body, in_body = self._http_body(part, code=code)
        count = in_head + in_trailers + in_body
        if count:
            return msgspec.structs.replace(
                part, head=head, body=body, trailers=trailers, redacted=part.redacted + count
            )
        if is_whole and not code and len(part.head) + len(part.body) <= _MESSAGE_BYTES_MAX:
            if len(self._clean_messages) >= _REMEMBERED_MAX:
                self._clean_messages.clear()
            self._clean_messages.add(key)
        return part

    def _is_code(self, part: HttpPart) -> bool:
        """Whether a body is code: by its own head, or by what was asked for."""
        exchange = part.conn, part.exchange
        if part.side is Side.CLIENT:
            if part.head and is_code_target(part.head):
                self._code.add(exchange)
                return True
            return False
        asked_for = exchange in self._code
        if asked_for and part.last and not part.head.startswith(b"HTTP/1.1 1"):
            self._code.discard(exchange)
        return asked_for or (bool(part.head) and is_code(part.head))

    def _http_body(self, part: HttpPart, *, code: bool) -> tuple[bytes, int]:
        key = part.conn, part.side
        message = self._bodies.pop(key, None)
        if part.head or message is None:
            if not part.body and part.last:
                return b"", 0
            coding = coding_of(part.head)
            walk = walk_for(part.head, part.body, self._search, code=code)
            if part.head and part.last and not coding and self._is_clean_body(part.body, walk):
                return part.body, 0
            message = self._begun(walk, coding, part.conn)
        if not part.last:
            self._bodies[key] = message
        if isinstance(message, CodedMessage):
            out, count = self._coded_piece(part, message)
        else:
            out, count = self._piece(part.body, message, last=part.last)
            if part.head and part.last and not count and not message.walk.unread:
                self._remember_body(part.body, message.walk)
            self._note_unread(part.conn, message.walk)
        return out, count

    def _begun(self, walk: Walk, coding: bytes, conn: int) -> Message | CodedMessage:
        if not coding:
            return Message(walk)
        if is_readable(coding):
            return CodedMessage(walk, coding)
        self._unread[conn, f"bodies in the coding {coding.decode('latin-1')[:40]}"] = None
        return Message(Walk())

    def _note_unread(self, conn: int, walk: Walk) -> None:
        if walk.unread:
            self._unread[conn, walk.unread] = None

    def _is_clean_body(self, body: bytes, walk: Walk) -> bool:
        """Whether a whole body is like one that was looked through before, or has no place for a
        secret."""
        if (type(walk), len(body), hash(body)) in self._clean_bodies:
            return True
        return type(walk) in (AnyWalk, Walk) and self.is_clean_text(body)

    def _remember_body(self, body: bytes, walk: Walk) -> None:
        if len(body) >= _SKELETON_BYTES_MAX:
            if len(self._clean_bodies) >= _REMEMBERED_MAX:
                self._clean_bodies.clear()
            self._clean_bodies.add((type(walk), len(body), hash(body)))

    def _coded_piece(self, part: HttpPart, coded: CodedMessage) -> tuple[bytes, int]:
        """A piece of a packed body. A whole one is changed inside, with the same size outside; in
        one of several pieces, all is zeros from the first secret on: what is packed cannot be
        changed in the middle."""
        body, decoder = part.body, coded.decoder
        if coded.spoiled:
            return bytes(len(body)), int(bool(body))
        text = decoder.more(body)
        changed, count = self._piece(text, coded.message, last=part.last)
        self._note_unread(part.conn, coded.message.walk)
        if decoder.broken or decoder.too_much:
            why = "do not make sense" if decoder.broken else "unpack to very much"
            self._unread[part.conn, f"packed bodies that {why}"] = None
        if not count:
            return self._plain_as_packed(body, broken=decoder.broken)
        again = same_size(changed, coded.coding, len(body)) if part.head and part.last else None
        if again is not None:
            return again, count
        coded.spoiled = True
        return bytes(len(body)), count

    def _plain_as_packed(self, body: bytes, *, broken: bool) -> tuple[bytes, int]:
        """Packed bytes hold no secret as they stand, unless they are not packed at all."""
        if broken:
            return self._whole(body, AnyWalk(self._search))
        return blanked(body, self._search(body)) if self._known else (body, 0)

    # --- WebSocket -------------------------------------------------------------------------

    def _frame(self, frame: WsFrame) -> AnyRecord:
        key = frame.conn, frame.side
        side = self._sides.get(key)
        if (frame.head and frame.head[0] & CONTROL) or key in self._controls:
            return self._control(frame)
        if (frame.head and frame.head[0] & DEFLATED) or (side and side.is_open):
            return self._deflated(frame)
        message = self._messages.pop(key, None)
        if message is None:
            is_whole = frame.last and frame.head and frame.head[0] & FIN
            if is_whole and self.is_clean_text(frame.payload):
                return frame
            message = Message(AnyWalk(self._search))
        if frame.head:
            message.is_final = bool(frame.head[0] & FIN)
        ends = frame.last and message.is_final
        if not ends:
            self._messages[key] = message
        payload, count = self._piece(frame.payload, message, last=ends)
        self._note_unread(frame.conn, message.walk)
        return self._changed(frame, payload, count)

    def _changed(self, frame: WsFrame, payload: bytes, count: int) -> AnyRecord:
        if not count:
            return frame
        return msgspec.structs.replace(frame, payload=payload, redacted=frame.redacted + count)

    def _control(self, frame: WsFrame) -> AnyRecord:
        """Ping, pong and close: small texts."""
        key = frame.conn, frame.side
        message = self._controls.pop(key, None) or Message(AnyWalk(self._search))
        if not frame.last:
            self._controls[key] = message
        payload, count = self._piece(frame.payload, message, last=frame.last)
        return self._changed(frame, payload, count)

    def _deflated(self, frame: WsFrame) -> AnyRecord:
        """A frame of a deflated message, or a piece of one. Its bytes are written before the end of
        the message has come, so it is inflated here; the whole message stands beside its last."""
        key = frame.conn, frame.side
        side = self._sides.get(key)
        if side is None:
            side = self._sides[key] = DeflatedSide(AnyWalk(self._search))
        if frame.head and frame.head[0] & DEFLATED:
            side.begin(AnyWalk(self._search))
        if frame.head:
            side.is_final = bool(frame.head[0] & FIN)
        ends = frame.last and side.is_final
        if frame.inflated is not None:
            return self._inflated(frame, frame.inflated, side)
        if not side.spoiled:
            text = side.inflate(frame.payload)
            side.spoiled = self._piece(text, side.message, last=ends)[1] > 0
        if ends:
            side.is_open = False
        if not side.spoiled:
            return frame
        return msgspec.structs.replace(frame, payload=b"", redacted=frame.redacted + 1)

    def _inflated(self, frame: WsFrame, message: bytes, side: DeflatedSide) -> AnyRecord:
        """Deflated bytes cannot be changed in place; the whole message stands beside them."""
        side.end(message)
        if not side.spoiled and self.is_clean_text(message):
            return frame
        walk = AnyWalk(self._search)
        inflated, count = self._whole(message, walk)
        self._note_unread(frame.conn, walk)
        if not count and not side.spoiled:
            return frame
        return msgspec.structs.replace(
            frame, payload=b"", inflated=inflated, redacted=frame.redacted + max(count, 1)
        )

    # --- everything else -------------------------------------------------------------------

    def _raw(self, raw: Raw) -> AnyRecord:
        """Bytes that could not be parsed: perhaps a head, a text, or a piece of one."""
        message = self._raws.setdefault((raw.conn, raw.side), Message(AnyWalk(self._search)))
        out, count = self._taken_out(raw.data, head_found(raw.data))
        again, more = self._piece(out, message, last=False)
        why = self._words(raw.why)
        if not count + more and why == raw.why:
            return raw
        return msgspec.structs.replace(raw, data=again, why=why)

    def _note(self, note: Note) -> AnyRecord:
        text = self._words(note.text)
        return note if text == note.text else msgspec.structs.replace(note, text=text)

    def _closed(self, closed: Closed) -> AnyRecord:
        key = closed.conn, closed.side
        for under_way in (self._bodies, self._messages, self._controls, self._raws, self._sides):
            under_way.pop(key, None)
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


def _unescaped(value: bytes) -> bytes:
    """A text as JSON writes it, read; itself if it is none."""
    try:
        text: str = msgspec.json.decode(b'"' + value + b'"', type=str)
    except (msgspec.MsgspecError, UnicodeError):
        return value
    return text.encode("utf-8", "replace")


def _as_it_is(record: AnyRecord) -> AnyRecord:
    """Of records that hold numbers and addresses only."""
    return record
