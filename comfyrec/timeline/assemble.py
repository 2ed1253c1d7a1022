"""records -> exchanges and sockets: pieces joined, fragments joined, who ended what.

Nothing raises on a damaged or cut recording: what is missing stays missing, and ``problems`` says
so. A response without its request and frames without their upgrade are kept, for what they tell is
true all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    HttpPart,
    Note,
    Raw,
    Session,
    Side,
    WsFrame,
    facts_in,
)
from comfyrec.http.event_stream import StreamReader
from comfyrec.http.large_body import STORED_MIN, BodySink, BodyStore, is_stored_type
from comfyrec.timeline.message_summary import NOTHING, peek_at
from comfyrec.timeline.model import (
    BodyMessage,
    Closing,
    Exchange,
    HttpMessage,
    Message,
    Piece,
    Ping,
    Socket,
)
from comfyrec.wording import plural

__all__ = ["Assembled", "FrameJoiner", "OpenExchange", "OpenMessage", "assemble", "field_of"]

PROBLEMS_MAX: Final = 200
"""Problems that are kept in words; a file made of damage must not fill the memory."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FIN, _RSV1, _OPCODE = 0x80, 0x40, 0x0F


class Assembled(msgspec.Struct):
    """What the records of one file tell, before anything is known about prompts."""

    sessions: list[Session] = []
    exchanges: list[Exchange] = []
    sockets: list[Socket] = []
    problems: list[str] = []
    records: int = 0
    t: int = 0
    t_end: int = 0


def assemble(records: Iterable[AnyRecord], store: BodyStore | None = None) -> Assembled:
    """Put the records of one recording together; large bodies go into the store if there is one."""
    return _Assembler(store).run(records)


class OpenMessage:
    """One HTTP message on its way."""

    def __init__(self, t: int, store: BodyStore | None = None) -> None:
        self.head = b""
        self.body: list[bytes] = []
        self.pieces: list[Piece] = []
        self.t = self.t_end = t
        self.at = 0
        self.complete = False
        self.omitted = 0
        self.said: list[BodyMessage] = []
        self._reader: StreamReader | None = None
        self._store = store
        self._sink: BodySink | None = None
        self._held_bytes = 0

    def more(self, part: HttpPart, at: int) -> None:
        """The next part."""
        if part.head:
            self.head, self.body, self.pieces = part.head, [], []
            coded = field_of(part.head, "content-encoding")
            kind = "" if coded else field_of(part.head, "content-type")
            self._reader, self.said = StreamReader.of(kind), []
        if part.body:
            self.pieces.append(Piece(at, part.t, len(part.body)))
            self._keep(part.body)
            if self._reader is not None:
                self.said += [BodyMessage(at, part.t, one) for one in self._reader.feed(part.body)]
        self.at, self.t_end, self.complete = at, part.t, part.last

    def _keep(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.write(data)
            return
        self.body.append(data)
        self._held_bytes += len(data)
        if self._store is None or self._held_bytes < STORED_MIN:
            return
        if not is_stored_type(field_of(self.head, "content-type")):
            self._store = None
            return
        self._sink = self._store.begin()
        for held in self.body:
            self._sink.write(held)
        self.body = []

    @property
    def _came_in_pieces(self) -> bool:
        return len(self.pieces) > 1 or any(piece.t > self.t for piece in self.pieces)

    def done(self) -> HttpMessage:
        """The message as it stands now."""
        start, headers = _split(self.head)
        return HttpMessage(
            start=start,
            headers=headers,
            body=b"".join(self.body),
            stored=self._sink.done() if self._sink is not None else None,
            pieces=tuple(self.pieces) if self._came_in_pieces else (),
            said=tuple(self.said),
            at=self.at,
            t=self.t,
            t_end=self.t_end,
            complete=self.complete,
            omitted_bytes=self.omitted,
        )


class OpenExchange:
    """An exchange on its way."""

    def __init__(self, store: BodyStore | None = None) -> None:
        self._store = store
        self.halves: dict[Side, OpenMessage] = {}
        self.cut_by: Side | None = None
        self.cut_t = self.cut_at = 0

    def more(self, part: HttpPart, at: int) -> None:
        """The next part of either half."""
        half = self.halves.get(part.side)
        if half is None:
            half = self.halves[part.side] = OpenMessage(part.t, self._store)
        half.more(part, at)

    @property
    def answered(self) -> bool:
        """The answer is there, whole."""
        response = self.halves.get(Side.SERVER)
        return response is not None and response.complete and not is_interim(response.head)

    @property
    def asked(self) -> OpenMessage | None:
        """The request, as far as it came."""
        return self.halves.get(Side.CLIENT)

    def done(self, number: int, conn: int) -> Exchange:
        """The exchange as it stands now."""
        request = self.halves.get(Side.CLIENT) or OpenMessage(self.halves[Side.SERVER].t)
        response = self.halves.get(Side.SERVER)
        answered = response if response is not None and not is_interim(response.head) else None
        return Exchange(
            number=number,
            conn=conn,
            request=request.done(),
            response=answered.done() if answered is not None else None,
            cut_by=self.cut_by,
            cut_t=self.cut_t,
            cut_at=self.cut_at,
        )


class FrameJoiner:
    """Frames of one direction on their way to messages."""

    def __init__(self) -> None:
        self.head = b""
        self.payload: list[bytes] = []
        self.message: list[bytes] = []
        self.opcode = 0
        self.deflated = False

    def more(self, record: WsFrame) -> tuple[int, bytes | None] | None:
        """A whole message or control frame: (opcode, payload), None as payload when unreadable."""
        if record.head:
            self.head, self.payload = record.head, []
        self.payload.append(record.payload)
        if not record.last or not self.head:
            return None
        first, payload = self.head[0], b"".join(self.payload)
        self.head, self.payload = b"", []
        if first & _OPCODE >= CLOSE:
            return first & _OPCODE, payload
        return self._data(first, payload, record.inflated)

    def _data(
        self, first: int, payload: bytes, inflated: bytes | None
    ) -> tuple[int, bytes | None] | None:
        if first & _OPCODE != CONTINUATION:
            self.opcode, self.message, self.deflated = first & _OPCODE, [], bool(first & _RSV1)
        self.message.append(payload)
        if not first & _FIN:
            return None
        whole, self.message = b"".join(self.message), []
        if inflated is not None:
            return self.opcode, inflated
        return self.opcode, None if self.deflated else whole


class _OpenConnection:
    """A connection: its exchanges, and the socket that it became."""

    def __init__(self) -> None:
        self.asked: dict[int, OpenExchange] = {}
        self.upgrade: OpenExchange | None = None
        self.joined = {side: FrameJoiner() for side in Side}
        self.messages: list[Message] = []
        self.pings: list[Ping] = []
        self.closing: Closing | None = None

    def end(self, record: Closed, at: int) -> None:
        for asked in self.asked.values():
            if not asked.answered and asked.cut_by is None:
                asked.cut_by, asked.cut_t, asked.cut_at = record.side, record.t, at
        if self.closing is None:
            self.closing = Closing(at=at, t=record.t, by=record.side, clean=False)


class _Assembler:
    def __init__(self, store: BodyStore | None = None) -> None:
        self._store = store
        self._out = Assembled()
        self._connected: dict[int, _OpenConnection] = {}
        self._asked: list[tuple[int, OpenExchange]] = []
        self._upgraded: list[tuple[int, _OpenConnection]] = []

    def run(self, records: Iterable[AnyRecord]) -> Assembled:
        out = self._out
        for at, record in enumerate(records):
            out.records = at + 1
            out.t = out.t or record.t
            out.t_end = max(out.t_end, record.t)
            self._take(record, at)
        self._finish()
        return out

    def _take(self, record: AnyRecord, at: int) -> None:
        if isinstance(record, WsFrame):
            self._frame(record, at)
        elif isinstance(record, HttpPart):
            self._part(record, at)
        elif isinstance(record, Closed):
            self._connection(record.conn).end(record, at)
        elif isinstance(record, Session):
            self._out.sessions.append(record)
        elif isinstance(record, Raw):
            self._problem(f"record {record.seq}: {len(record.data)} bytes could not be read")
        elif isinstance(record, Note):
            self._note(record)

    def _connection(self, conn: int) -> _OpenConnection:
        return self._connected.setdefault(conn, _OpenConnection())

    def _part(self, part: HttpPart, at: int) -> None:
        connected = self._connection(part.conn)
        if connected.closing is not None and part.side is Side.CLIENT and part.head:
            # A number that is used again, as a capture's labels are, is another connection.
            connected = self._connected[part.conn] = _OpenConnection()
        asked = connected.asked.get(part.exchange)
        if asked is None:
            asked = connected.asked[part.exchange] = OpenExchange(self._store)
            self._asked.append((part.conn, asked))
        asked.more(part, at)
        if part.side is Side.SERVER and status_of(part.head) == b"101":
            self._upgrade(part.conn, connected, asked)

    def _upgrade(self, conn: int, connected: _OpenConnection, asked: OpenExchange) -> None:
        connected.upgrade = asked
        self._upgraded.append((conn, connected))

    def _frame(self, record: WsFrame, at: int) -> None:
        connected = self._connection(record.conn)
        if connected.upgrade is None:
            self._problem(f"record {record.seq}: the upgrade of its connection is missing")
            asked = OpenExchange()
            asked.halves[Side.CLIENT] = OpenMessage(record.t)
            self._upgrade(record.conn, connected, asked)
        whole = connected.joined[record.side].more(record)
        if whole is None:
            return
        opcode, payload = whole
        if payload is None:
            self._problem(f"record {record.seq}: a compressed message could not be inflated")
        elif opcode in (TEXT, BINARY):
            connected.messages.append(message_of(record, at, opcode, payload))
        elif opcode in (PING, PONG):
            connected.pings.append(Ping(at, record.t, record.side, payload, pong=opcode == PONG))
        elif opcode == CLOSE and connected.closing is None:
            connected.closing = closing_of(record, at, payload)

    def _note(self, note: Note) -> None:
        if note.what == "body_omitted":
            self._omitted(note)
        elif note.what == "lost":
            lost = plural(note.count, "record was", "records were")
            self._problem(f"record {note.seq}: {lost} lost while recording")
        elif (facts := facts_in(note)) and (sessions := self._out.sessions):
            about = sessions[-1].about | facts
            sessions[-1] = msgspec.structs.replace(sessions[-1], about=about)

    def _omitted(self, note: Note) -> None:
        """A capture that left a body out says so behind the message it belongs to."""
        asked = self._connection(note.conn).asked
        if asked:
            halves = asked[max(asked)].halves
            halves.get(
                Side.SERVER, halves.get(Side.CLIENT, OpenMessage(note.t))
            ).omitted = note.count

    def _problem(self, words: str) -> None:
        if len(self._out.problems) < PROBLEMS_MAX:
            self._out.problems.append(words)

    def _finish(self) -> None:
        out = self._out
        made = {}
        for number, (conn, asked) in enumerate(self._asked):
            exchange = asked.done(number, conn)
            made[id(asked)] = exchange
            out.exchanges.append(exchange)
        for number, (conn, connected) in enumerate(self._upgraded):
            assert connected.upgrade is not None, "only upgraded connections are in the list"
            upgrade = made.get(id(connected.upgrade)) or connected.upgrade.done(-1, conn)
            out.sockets.append(_socket(number, upgrade, connected))


def status_of(head: bytes) -> bytes:
    """The three digits of a response, empty if it is none."""
    return head[9:12] if head.startswith(b"HTTP/1.") else b""


def is_interim(head: bytes) -> bool:
    """Whether another response follows this one (RFC 9110 section 15.2)."""
    status = status_of(head)
    return status.startswith(b"1") and status != b"101"


def _split(head: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    start, *lines = head.decode("latin-1").split("\r\n")
    headers = (line.partition(":") for line in lines if ":" in line)
    return start, tuple((name, value.strip(" \t")) for name, _, value in headers)


def field_of(head: bytes, name: str) -> str:
    """The first field of a name, in lower case; empty when there is none."""
    return next((value for key, value in _split(head)[1] if key.lower() == name), "")


def message_of(record: WsFrame, at: int, opcode: int, payload: bytes) -> Message:
    """The message that a frame completes."""
    if opcode == BINARY:
        return Message(at, record.t, record.side, payload)
    # A real server sends valid UTF-8; anything else ends a client's connection, not this one's.
    text = payload.decode("utf-8", "replace")
    peek = peek_at(text) if record.side is Side.SERVER else NOTHING
    return Message(at, record.t, record.side, text, peek)


def closing_of(record: WsFrame, at: int, payload: bytes) -> Closing:
    """What a close frame says."""
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
    reason = payload[2:].decode("utf-8", "replace")
    return Closing(at=at, t=record.t, by=record.side, code=code, reason=reason)


def _socket(number: int, upgrade: Exchange, connected: _OpenConnection) -> Socket:
    return Socket(
        number=number,
        conn=upgrade.conn,
        upgrade=upgrade,
        client_id=upgrade.asked.first("clientId"),
        sid=next((m.peek.sid for m in connected.messages if m.peek.sid is not None), None),
        messages=tuple(connected.messages),
        pings=tuple(connected.pings),
        closing=connected.closing,
    )
