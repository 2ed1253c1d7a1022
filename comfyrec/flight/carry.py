"""Records as they are written -> where a recording can be cut, and what the next part begins with.

A part has to be readable alone. So it begins with the upgrades of the sockets that are open, and
with the beginning of what was under way when a cut could not wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from comfyrec.cassette.records import (
    ABOUT,
    AnyRecord,
    Closed,
    HttpPart,
    Note,
    Opened,
    Raw,
    Side,
    WsFrame,
    payload_of,
)
from comfyrec.events.endings import prompt_ending
from comfyrec.http.request import target_of
from comfyrec.timeline.message_summary import data_of, peek_at

__all__ = ["Carry"]

GREETING_FRAMES_MAX: Final = 4
KEPT_BYTES_MAX: Final = 64 << 10
"""Of what one connection may want to carry on."""
LOOKED_INTO_BYTES_MAX: Final = 4 << 20
"""Larger answers are not searched for ids; the prompt then counts as over with the next one."""
WAITING_MAX: Final = 10_000

_PROMPT_ID: Final = re.compile(rb'"prompt_id":\s*"([^"\\]{1,200})"')
_FIN, _OPCODE, _CLOSE, _TEXT = 0x80, 0x0F, 0x8, 0x1


class _Exchange:
    """A request that has no whole answer yet."""

    def __init__(self) -> None:
        self.parts: list[HttpPart] = []
        self.method, self.path = "", ""
        self.kept = 0
        self.omitted = [0, 0]
        self.posted = False

    def more(self, part: HttpPart) -> None:
        if part.side is Side.CLIENT and part.head:
            start = part.head.partition(b"\r\n")[0].decode("latin-1").split(" ")
            self.method, self.path = start[0], target_of(start[1] if start[1:] else "/").path
        size = len(part.head) + len(part.body)
        if self.kept + size <= KEPT_BYTES_MAX:
            self.kept += size
            self.parts.append(part)
        else:
            self.omitted[part.side] += len(part.body)
            if part.head:
                self.parts.append(msgspec.structs.replace(part, body=b"", last=False))


class _Connection:
    """An open connection."""

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.exchanges: dict[int, _Exchange] = {}
        self.upgrade: list[HttpPart] = []
        self.greeting: list[WsFrame] = []
        self.within: list[bool] = [False, False]
        """For each side: whether a message of several frames or pieces is under way."""
        self.first = [0, 0]
        """For each side: the first byte of the frame that came last."""


class Carry:
    """Takes every record, in order."""

    def __init__(self, linger_us: int) -> None:
        self._linger_us = linger_us
        self._connections: dict[int, _Connection] = {}
        self._waiting: dict[str, None] = {}
        self._moving = 0
        self._quiet_from = 0
        self._about: Note | None = None
        self.prompts = 0
        """Prompts that were posted, accepted or not, or begun since the last cut."""
        self.records = 0
        """Records since the last cut."""

    @property
    def waiting(self) -> frozenset[str]:
        """Prompts that wait or run."""
        return frozenset(self._waiting)

    def saw(self, record: AnyRecord) -> None:
        """The next record."""
        self.records += 1
        if isinstance(record, WsFrame):
            self._frame(record)
        elif isinstance(record, HttpPart):
            self._part(record)
        elif isinstance(record, Opened):
            self._connection(record.conn).opened = record
        elif isinstance(record, Closed):
            self._closed(record)
        elif isinstance(record, Note) and record.what == ABOUT:
            self._about = record
        if self._waiting or self._moving:
            self._quiet_from = 0
        elif not self._quiet_from or isinstance(record, (WsFrame, Raw)):
            self._quiet_from = record.t

    def is_whole(self, now: int) -> bool:
        """Whether a session has ended: something ran, all of it is over, and nothing is said."""
        return bool(self.prompts) and self.is_between(now)

    def is_between(self, now: int) -> bool:
        """Whether nothing at all is under way."""
        quiet = self._quiet_from
        return not self._waiting and not self._moving and now >= quiet + self._linger_us

    def cut(self, seq: int, t: int) -> Iterator[AnyRecord]:
        """The records that the next part begins with, its own numbers and time in them.

        Args:
            seq: the number of the first of them.
            t: their time. When it was in truth stands in a note before those of a connection.
        """
        self.prompts = self.records = 0
        if self._about is not None:
            yield msgspec.structs.replace(self._about, seq=seq, t=t)
            seq += 1
        for conn, connection in self._connections.items():
            carried: list[AnyRecord] = [*connection.upgrade, *connection.greeting]
            omitted = 0
            for exchange in connection.exchanges.values():
                carried += exchange.parts
                omitted += sum(exchange.omitted)
            if connection.opened is not None:
                carried.insert(0, connection.opened)
            if not carried:
                continue
            first = min(record.t for record in carried)
            yield Note(seq, t, conn, "carried", f"first at {first}", len(carried))
            seq += 1
            for record in carried:
                yield msgspec.structs.replace(record, seq=seq, t=t)
                seq += 1
            if omitted:
                yield Note(seq, t, conn, "body_omitted", "it stands in the part before", omitted)
                seq += 1

    # --- what goes by -----------------------------------------------------------------------

    def _connection(self, conn: int) -> _Connection:
        found = self._connections.get(conn)
        if found is None:
            found = self._connections[conn] = _Connection()
        return found

    def _closed(self, record: Closed) -> None:
        """Either side has ended: what the other one still sends makes no message whole."""
        connection = self._connections.pop(record.conn, None)
        if connection is not None:
            self._moving -= len(connection.exchanges) + sum(connection.within)

    def _part(self, part: HttpPart) -> None:
        connection = self._connection(part.conn)
        exchange = connection.exchanges.get(part.exchange)
        if exchange is None:
            exchange = connection.exchanges[part.exchange] = _Exchange()
            self._moving += 1
        exchange.more(part)
        if part.side is Side.CLIENT:
            return
        if self._waiting or (exchange.method == "POST" and exchange.path == "/prompt"):
            self._answer(exchange, part)
        status = exchange_status(exchange)
        if part.last and (status == b"101" or not status.startswith(b"1")):
            del connection.exchanges[part.exchange]
            self._moving -= 1
            if status == b"101":
                connection.upgrade = exchange.parts

    def _answer(self, exchange: _Exchange, part: HttpPart) -> None:
        body = part.body
        if len(body) > LOOKED_INTO_BYTES_MAX:
            return
        if exchange.method == "POST" and exchange.path == "/prompt":
            found = _PROMPT_ID.search(body)
            if exchange_status(exchange) != b"200":
                self.prompts += part.last
            elif found is not None:
                self._begins(found[1].decode("latin-1"))
        elif exchange.method == "GET" and exchange.path.startswith("/history"):
            for prompt_id in [p for p in self._waiting if p.encode("utf-8", "replace") in body]:
                del self._waiting[prompt_id]
        elif exchange.method == "GET" and exchange.path == "/queue" and part.last and part.head:
            for prompt_id in [p for p in self._waiting if p.encode("utf-8", "replace") not in body]:
                del self._waiting[prompt_id]

    def _begins(self, prompt_id: str) -> None:
        self.prompts += 1
        if len(self._waiting) < WAITING_MAX:
            self._waiting[prompt_id] = None

    def _frame(self, record: WsFrame) -> None:
        connection, side = self._connection(record.conn), record.side
        if record.head:
            if record.head[0] & _OPCODE >= _CLOSE:
                return
            connection.first[side] = record.head[0]
        first = connection.first[side]
        within = not (record.last and first & _FIN)
        self._moving += within - connection.within[side]
        connection.within[side] = within
        if side is Side.SERVER and not within and record.head and first & _OPCODE == _TEXT:
            self._text(connection, record)

    def _text(self, connection: _Connection, record: WsFrame) -> None:
        payload = payload_of(record)
        if not payload.startswith(b"{"):
            return
        peek = peek_at(payload)
        greets = peek.sid is not None or peek.type == "feature_flags"
        if greets and len(connection.greeting) < GREETING_FRAMES_MAX:
            connection.greeting.append(record)
        if peek.queue_remaining == 0:
            self._waiting.clear()
        elif peek.prompt_id is None:
            return
        elif peek.null_node or prompt_ending(peek.type, lambda: data_of(payload)):
            self._waiting.pop(peek.prompt_id, None)
        elif peek.type == "execution_start" and peek.prompt_id not in self._waiting:
            self._begins(peek.prompt_id)


def exchange_status(exchange: _Exchange) -> bytes:
    """The status of the answer so far."""
    heads = [p.head for p in exchange.parts if p.side is Side.SERVER and p.head]
    return heads[-1][9:12] if heads else b""
