"""record -> the same record with stand-ins for what tells of people, machines and pictures.

A body or message is looked at when it has come whole: only then is it known what it is. The records
of its pieces stay where they were; the last one holds all of it. What is left when a connection
ends in the middle of a body is asked for with ``take_held``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from comfyrec.cassette.content_coding import coding_of, decoded, same_size
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
from comfyrec.cassette.redact.body import is_code_target
from comfyrec.cassette.redact.messages import CONTROL, DEFLATED, FIN
from comfyrec.cassette.redact.pseudonyms.http_messages import (
    Asked,
    asked_by,
    body_hidden,
    head_hidden,
)
from comfyrec.cassette.redact.pseudonyms.json_values import Mode
from comfyrec.cassette.redact.pseudonyms.known_values import edited
from comfyrec.cassette.redact.pseudonyms.substitutes import Substitutes
from comfyrec.cassette.redact.pseudonyms.ws_messages import message_hidden

__all__ = ["Pseudonymizer", "place_of"]

_HELD_BYTES_MAX: Final = 32 << 20
"""A longer body is not kept until it is whole: what comes behind these bytes is blanked."""
_LENGTH: Final = re.compile(rb"(?im)^(content-length[ \t]*:[ \t]*)([0-9]+)")

_Key = tuple[int, Side]


class _Held:
    """A body or message that is under way."""

    def __init__(self, head: bytes, asked: Asked) -> None:
        self.head, self.asked = head, asked
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_too_long = False

    def add(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.size += len(piece)


class Pseudonymizer:
    """Replaces what tells something, in the order in which it was recorded.

    Args:
        kinds: what is replaced (``telling.KINDS``).
    """

    def __init__(self, kinds: Collection[str]) -> None:
        self.substitutes = Substitutes(kinds)
        self._held: dict[_Key, _Held] = {}
        self._messages: dict[_Key, _Held] = {}
        self._deflated: set[_Key] = set()
        self._asked: dict[tuple[int, int], Asked] = {}
        self._code: set[tuple[int, int]] = set()
        self.unread: dict[tuple[int, str], None] = {}
        """Connection and what of it was not looked into."""
        self._by_kind: dict[type, Callable[..., AnyRecord]] = {
            HttpPart: self._part,
            WsFrame: self._frame,
            Session: self._session,
            Opened: self._opened,
            Closed: self._closed,
            Note: self._note,
            Raw: self._raw,
            End: lambda record: record,
        }

    def later(self) -> Pseudonymizer:
        """One that looks for what is known now, and has its own memory."""
        later = Pseudonymizer(self.substitutes.kinds)
        later.substitutes.take(list(self.substitutes.table.items()))
        later.rescan()
        return later

    def rescan(self) -> None:
        """The same records come once more, for what was met since; nothing else is replaced."""
        self.substitutes.known_only = True
        self.forget_messages()

    def forget_messages(self) -> None:
        """The records that come begin anew."""
        for under_way in (self._held, self._messages, self._deflated, self._asked, self._code):
            under_way.clear()

    def record(self, record: AnyRecord) -> AnyRecord:
        """The record with stand-ins; the very same object where nothing was replaced."""
        handle = self._by_kind.get(record.__class__)
        assert handle is not None, f"nothing says what to redact of {type(record).__name__}"
        return handle(record)

    def take_held(self, conn: int, side: Side) -> list[HttpPart]:
        """The piece of a body that a connection ends in, if there is one; its number and time are
        still to be given."""
        held = self._held.pop((conn, side), None)
        if held is None or not held.size or held.is_too_long:
            return []
        body = self._body(b"".join(held.pieces), held, conn)
        exchange = max((e for c, e in self._asked if c == conn), default=0)
        return [HttpPart(0, 0, conn, side, exchange, b"", body, last=False)]

    def take_all_held(self) -> list[HttpPart]:
        """The same of all connections: the recording ends."""
        return [part for conn, side in sorted(self._held) for part in self.take_held(conn, side)]

    # --- HTTP ------------------------------------------------------------------------------

    def _part(self, part: HttpPart) -> AnyRecord:
        asked = self._asked_in(part)
        key = part.conn, part.side
        self.substitutes.place = place_of(asked, part.side, "head")
        head = head_hidden(part.head, self.substitutes) if part.head else b""
        trailers = head_hidden(part.trailers, self.substitutes) if part.trailers else b""
        if part.head:
            self._held.pop(key, None)
        held = self._held.get(key) or _Held(part.head, asked)
        self.substitutes.place = place_of(asked, part.side, "body")
        if self.substitutes.known_only:
            body = self._body(part.body, held, part.conn)
        else:
            body = self._piece(part, held)
        if held.pieces and not part.last:
            self._held[key] = held
        else:
            self._held.pop(key, None)
        if len(body) != len(part.body) and part.head and part.last:
            head = _LENGTH.sub(lambda m: m[1] + b"%d" % len(body), head)
        if (head, body, trailers) == (part.head, part.body, part.trailers):
            return part
        return msgspec.structs.replace(part, head=head, body=body, trailers=trailers)

    def _asked_in(self, part: HttpPart) -> Asked:
        exchange = part.conn, part.exchange
        if part.side is Side.CLIENT and part.head:
            self._asked[exchange] = asked_by(part.head)
            if is_code_target(part.head):
                self._code.add(exchange)
        asked = self._asked.get(exchange, Asked())
        ends = part.side is Side.SERVER and part.last and part.head[:10] != b"HTTP/1.1 1"
        if ends:
            for number in [e for c, e in self._asked if c == part.conn and e < part.exchange]:
                del self._asked[part.conn, number]
        return asked

    def _piece(self, part: HttpPart, held: _Held) -> bytes:
        """What of a body can be written now."""
        if held.is_too_long:
            held.pieces = [b""]
            return self._beyond(part.body, held)
        if part.last and not held.pieces:
            return self._body(part.body, held, part.conn, part=part)
        held.add(part.body)
        if not part.last and held.size <= _HELD_BYTES_MAX:
            return b""
        whole = b"".join(held.pieces)
        held.pieces = []
        if not part.last:
            held.is_too_long = True
            held.pieces = [b""]
            self.unread[part.conn, "the rest of a very long body"] = None
        return self._body(whole, held, part.conn)

    def _beyond(self, body: bytes, held: _Held) -> bytes:
        """The rest of a body that was too long to be kept."""
        if "bytes" in self.substitutes.kinds or coding_of(held.head):
            return bytes(len(body))
        return edited(body, self.substitutes.anywhere(body, skip=()))

    def _body(self, body: bytes, held: _Held, conn: int, part: HttpPart | None = None) -> bytes:
        if not body or (conn, part.exchange if part else -1) in self._code:
            return body
        coding = coding_of(held.head)
        if not coding:
            return body_hidden(body, held.head, held.asked, self.substitutes)
        text = decoded(body, coding)
        if text is None:
            self.unread[conn, f"bodies in the coding {coding.decode('latin-1')[:40]}"] = None
            return body if self.substitutes.known_only else bytes(len(body))
        new = body_hidden(text, held.head, held.asked, self.substitutes)
        if new == text:
            return body
        return same_size(new, coding, len(body)) or self._packed_anew(new, coding, body, part)

    def _packed_anew(self, new: bytes, coding: bytes, body: bytes, part: HttpPart | None) -> bytes:
        """A packed body that does not fit into its old size: a larger one where its head can still
        say so, else one of blanks."""
        if part is not None and part.head and part.last and not part.chunks:
            for size in range(len(body) + 16, 4 * len(body) + 4096, 64):
                again = same_size(new, coding, size)
                if again is not None:
                    return again
        return same_size(b" " * len(new), coding, len(body)) or bytes(len(body))

    # --- WebSocket -------------------------------------------------------------------------

    def _frame(self, frame: WsFrame) -> AnyRecord:
        first = frame.head[0] if frame.head else 0
        self.substitutes.place = (
            "WebSocket of the client" if frame.side is Side.CLIENT else "WebSocket"
        )
        if frame.head and first & CONTROL:
            payload = self._control(frame.payload)
            return self._changed(frame, payload)
        key = frame.conn, frame.side
        if frame.inflated is not None or first & DEFLATED or key in self._deflated:
            return self._deflated_frame(frame, key)
        held = self._messages.get(key)
        if held is None:
            held = _Held(bytes((first & 0x0F,)), Asked())
        ends = frame.last and (first & FIN if frame.head else held.is_too_long)
        if self.substitutes.known_only or (not held.pieces and ends):
            return self._changed(frame, message_hidden(frame.payload, held.head, self.substitutes))
        if frame.head:
            held.is_too_long = bool(first & FIN)  # of this frame: whether it is the last one
        held.add(frame.payload)
        payload = b""
        if ends:
            whole = b"".join(held.pieces)
            payload = message_hidden(whole, held.head, self.substitutes)
            self._messages.pop(key, None)
        else:
            self._messages[key] = held
        head = _resized(frame.head, len(payload)) if frame.head and frame.last else frame.head
        return msgspec.structs.replace(frame, head=head, payload=payload)

    def _control(self, payload: bytes) -> bytes:
        return edited(payload, self.substitutes.anywhere(payload, skip=()))

    def _changed(self, frame: WsFrame, payload: bytes) -> AnyRecord:
        return (
            frame if payload == frame.payload else msgspec.structs.replace(frame, payload=payload)
        )

    def _deflated_frame(self, frame: WsFrame, key: _Key) -> AnyRecord:
        """Deflated bytes cannot be changed in place: the whole message stands beside its last."""
        if frame.inflated is None:
            self._deflated.add(key)
            if self.substitutes.known_only:
                return frame
            return msgspec.structs.replace(frame, payload=b"", redacted=max(1, frame.redacted))
        was_spoiled = key in self._deflated
        self._deflated.discard(key)
        opcode = b"\2" if frame.inflated[:3] == b"\0\0\0" else b"\1"
        inflated = message_hidden(frame.inflated, opcode, self.substitutes)
        if inflated == frame.inflated and not was_spoiled:
            return frame
        return msgspec.structs.replace(
            frame, payload=b"", inflated=inflated, redacted=max(1, frame.redacted)
        )

    # --- everything else -------------------------------------------------------------------

    def _session(self, session: Session) -> AnyRecord:
        substitutes = self.substitutes
        substitutes.place = "session"
        upstream = self._words(session.upstream)
        if not substitutes.known_only:
            upstream = substitutes.text("url", session.upstream)
        facts = msgspec.json.encode(session.about)
        told = edited(facts, substitutes.edits(facts, Mode.PLAIN, "about"))
        if upstream == session.upstream and told == facts:
            return session
        about = msgspec.json.decode(told, type=dict[str, Any])
        return msgspec.structs.replace(session, upstream=upstream, about=about)

    def _opened(self, opened: Opened) -> AnyRecord:
        self.substitutes.place = "connection"
        peer = opened.peer
        if peer and not self.substitutes.known_only:
            peer = self.substitutes.text("host", peer)
        return opened if peer == opened.peer else msgspec.structs.replace(opened, peer=peer)

    def _closed(self, closed: Closed) -> AnyRecord:
        key = closed.conn, closed.side
        for under_way in (self._held, self._messages):
            under_way.pop(key, None)
        self.substitutes.place = "end of a connection"
        why = self._words(closed.why)
        return closed if why == closed.why else msgspec.structs.replace(closed, why=why)

    def _note(self, note: Note) -> AnyRecord:
        self.substitutes.place = "note"
        text = self._words(note.text)
        return note if text == note.text else msgspec.structs.replace(note, text=text)

    def _raw(self, raw: Raw) -> AnyRecord:
        """Bytes that could not be parsed: nobody can say what they tell."""
        substitutes = self.substitutes
        substitutes.place = "bytes that are not HTTP"
        why = self._words(raw.why)
        data = head_hidden(raw.data, substitutes)
        data = edited(data, substitutes.edits(data))
        if "text" in substitutes.kinds and not substitutes.known_only:
            written = data.decode("utf-8", "surrogateescape")
            data = substitutes.text("log", written).encode("utf-8", "surrogateescape")
        if data == raw.data and why == raw.why:
            return raw
        return msgspec.structs.replace(raw, data=data, why=why)

    def _words(self, text: str) -> str:
        data = text.encode("utf-8", "replace")
        return edited(data, self.substitutes.edits(data)).decode("utf-8", "replace")


def place_of(asked: Asked, side: Side, what: str) -> str:
    """Where a value stands, in words."""
    route = f"{asked.method} /{asked.route}".strip() if asked.method else "HTTP"
    return f"{route} {'request' if side is Side.CLIENT else 'answer'} {what}"


def _resized(head: bytes, size: int) -> bytes:
    """The header of a frame whose payload has another size now."""
    masked, key = head[1] & 0x80, b""
    if masked:
        key = head[-4:]
    if size < 126:
        length = bytes((masked | size,))
    elif size < 1 << 16:
        length = bytes((masked | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((masked | 127,)) + size.to_bytes(8, "big")
    return head[:1] + length + key
