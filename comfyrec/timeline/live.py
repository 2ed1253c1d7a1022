"""Records, one after the other -> what happens, moment by moment, and the story so far.

``Timeline`` holds a whole recording; this holds what has not ended and a few facts of what has, so
that a recording can be told while it grows, and one of gigabytes in little memory. Moments come in
the order in which they were complete; both tell the same of a recording.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

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
from comfyrec.timeline.assemble import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    closing_of,
    is_interim,
    message_of,
    status_of,
)
from comfyrec.timeline.facts import VersionSigns
from comfyrec.timeline.findings import (
    POLLS_MIN,
    SILENCE_SHARE,
    SILENCE_US_MIN,
    SILENCES_MAX,
    Finding,
    Poll,
    Silence,
    route_of,
)
from comfyrec.timeline.live_connection import (
    LiveConnection,
    LiveExchange,
    OpenSocket,
    unseen_request,
    wants_upgrade,
)
from comfyrec.timeline.live_prompts import LivePrompt, LivePrompts
from comfyrec.timeline.model import Closing, Exchange, HttpMessage, Message, Ping, Socket
from comfyrec.timeline.moments import (
    Moment,
    MomentWords,
    answer_moment,
    closed_moment,
    cut_moment,
    message_moment,
    opened_moment,
    ping_moment,
    request_moment,
    said_moment,
)
from comfyrec.timeline.order_violations import Order
from comfyrec.timeline.story import (
    PromptStory,
    Refusal,
    Story,
    cut,
    listener_of,
    refusal_of,
    server_of,
    unanswered,
    unheard,
)

__all__ = ["Live", "Told"]

PROBLEMS_MAX: Final = 200
FINDINGS_MAX: Final = 2_000
POLLED_MAX: Final = 4_000
"""Different things that are counted as asked for; those asked for once are forgotten first."""
_CLOSES: Final = bytes((0x80 | CLOSE,))
"""The first byte of a frame that closes a socket."""
CLOSED_KEPT: Final = 1_000
"""Connections that are remembered behind their end, for an answer that comes after it."""


class Told(NamedTuple):
    """A moment, and what was said at it."""

    moment: Moment
    content: Message | HttpMessage | None


class Live:
    """Takes the records of one recording in order.

    Args:
        ended: called with a prompt once nothing more is expected of it.
        rules: whether to look for frames that are out of order.
        keep: whether the story is of all; else only what has not ended is held, however long the
            recording is, and the story is of that.
    """

    def __init__(
        self,
        *,
        ended: Callable[[LivePrompt], None] | None = None,
        rules: bool = True,
        keep: bool = True,
    ) -> None:
        self._keep = keep
        self.prompts = LivePrompts(ended, keep=keep)
        self.start: int | None = None
        self.t_end = 0
        self.records = 0
        self.requests = self.events = 0
        self.sessions: list[Session] = []
        self.sockets: dict[int, OpenSocket] = {}
        self.accepted = 0
        """How many sockets there were."""
        self.refusals: list[Refusal] = []
        self.refused = 0
        self._order = Order() if rules else None
        self._signs = VersionSigns()
        self._server: dict[str, object] = {}
        self._connections: dict[int, LiveConnection] = {}
        self._closed: list[int] = []
        self._by_name: dict[str, list[OpenSocket]] = {}
        self.findings: list[Finding] = []
        self._problems: list[str] = []
        self._polled: dict[str, tuple[str, array[int]]] = {}
        self._silences: list[tuple[int, int, str]] = []
        self._last_word = 0
        """When something was said last."""
        self._told: list[Told] = []

    # --- records -------------------------------------------------------------------------------

    def take(self, record: AnyRecord) -> list[Told]:
        """What is complete with this record."""
        at = self.records
        self.records += 1
        if self.start is None or self.start == 0:
            self.start = self.prompts.start = record.t
        self._told = []
        if record.t > self.t_end:
            self._silence_before(record.t)
            self.prompts.settle(record.t)
            self.t_end = record.t
        if isinstance(record, HttpPart | WsFrame) and record.head[:1] != _CLOSES:
            self._last_word = record.t
        if isinstance(record, WsFrame):
            self._frame(record, at)
        elif isinstance(record, HttpPart):
            self._part(record, at)
        elif isinstance(record, Closed):
            self._close(record, at)
        elif isinstance(record, Session):
            self.sessions.append(record)
            self._signs.about(record.about)
        elif isinstance(record, Raw):
            self._problem(f"record {record.seq}: {len(record.data)} bytes could not be read")
        elif isinstance(record, Note):
            self._note(record)
        return self._told

    def finish(self) -> list[Told]:
        """What was on its way when the recording ended."""
        self._told = []
        for conn, connection in self._connections.items():
            for asked in connection.asked.values():
                self._tell_rest(conn, asked)
        self.prompts.finish()
        return self._told

    def _connection(self, conn: int) -> LiveConnection:
        return self._connections.setdefault(conn, LiveConnection())

    def _tell(self, moment: Moment, content: Message | HttpMessage | None = None) -> None:
        self._told.append(Told(moment, content))

    @property
    def _start(self) -> int:
        assert self.start is not None, "the first record has set it"
        return self.start

    # --- HTTP ----------------------------------------------------------------------------------

    def _part(self, part: HttpPart, at: int) -> None:
        connection = self._connection(part.conn)
        if connection.closed and part.side is Side.CLIENT and part.head:
            connection = self._connections[part.conn] = LiveConnection()
        asked = connection.asked.get(part.exchange)
        if asked is None:
            asked = connection.asked[part.exchange] = LiveExchange(self.requests)
            self.requests += 1
        asked.more(part, at)
        if part.side is Side.SERVER:
            self._tell_said(part.conn, asked)
        if part.side is Side.CLIENT:
            if part.last and not wants_upgrade(asked):
                self._tell_request(part.conn, asked)
        elif status_of(part.head) == b"101":
            self._opened(part.conn, connection, asked)
        elif part.last and not is_interim(asked.halves[Side.SERVER].head):
            self._tell_request(part.conn, asked)
            self._answered(part.conn, asked)
        whole = asked.asked is None or asked.asked.complete
        if whole and asked.answer_told:
            del connection.asked[part.exchange]

    def _tell_request(self, conn: int, asked: LiveExchange) -> None:
        if asked.request_told or asked.asked is None or not asked.asked.head:
            return
        asked.request_told = True
        exchange = asked.done(asked.number, conn)
        if exchange.method == "GET" and self._keep:
            self._count_poll(exchange)
        prompt = None
        if exchange.method == "POST" and exchange.path == "/prompt":
            prompt = self.prompts.posted(exchange)
            if prompt is not None:
                prompt.listened = self._listens(prompt.open.client_id, exchange.request.at)
        moment = request_moment(exchange, None if prompt is None else prompt.number, self._start)
        self._tell(moment, exchange.request)

    def _tell_said(self, conn: int, asked: LiveExchange) -> None:
        """The messages of an answer that have come with its last part."""
        said = asked.halves[Side.SERVER].said
        if len(said) > asked.said_told:
            self._tell_request(conn, asked)
        for one in said[asked.said_told :]:
            prompt = self.prompts.event(asked.job_id, one) if asked.job_id else None
            number = None if prompt is None else prompt.number
            self._tell(said_moment(one, conn, asked.number, self._start, prompt=number))
            self.events += 1
        asked.said_told = len(said)

    def _answered(self, conn: int, asked: LiveExchange) -> None:
        if asked.answer_told:
            return
        asked.answer_told = True
        exchange = asked.done(asked.number, conn)
        self._signs.exchange(exchange)
        self._server = self._server or server_of(exchange)
        refused = refusal_of(exchange, self._start)
        if refused is not None:
            self.refused += 1
            if self._keep:
                self.refusals.append(refused)
        prompt = self.prompts.answered(exchange)
        number = None if prompt is None else prompt.number
        moment = answer_moment(exchange, number, self._start)
        assert moment is not None, "it was answered"
        self._tell(moment, exchange.response)

    def _tell_rest(self, conn: int, asked: LiveExchange) -> None:
        """What there is of an exchange that does not go on."""
        self._tell_request(conn, asked)
        response = asked.halves.get(Side.SERVER)
        if response is not None and not is_interim(response.head):
            self._answered(conn, asked)

    # --- sockets -------------------------------------------------------------------------------

    def _opened(self, conn: int, connection: LiveConnection, asked: LiveExchange) -> OpenSocket:
        if connection.socket is not None:
            return connection.socket
        asked.request_told = asked.answer_told = True
        upgrade = asked.done(asked.number, conn)
        number, self.accepted = self.accepted, self.accepted + 1
        socket = Socket(number, conn, upgrade, upgrade.asked.first("clientId"), None)
        opened = connection.socket = OpenSocket(socket, MomentWords(self.prompts.recorded))
        opened.opened = listener_of(socket, self._start)
        self.sockets[number] = opened
        self._named(opened, socket.client_id)
        if self._order is not None:
            self._order.opened(number)
        self._tell(opened_moment(socket, self._start), upgrade.request)
        return opened

    def _frame(self, record: WsFrame, at: int) -> None:
        connection = self._connection(record.conn)
        opened = connection.socket
        if opened is None:
            self._problem(f"record {record.seq}: the upgrade of its connection is missing")
            asked = LiveExchange(-1)
            asked.halves[Side.CLIENT] = unseen_request(record)
            opened = self._opened(record.conn, connection, asked)
        whole = opened.joined[record.side].more(record)
        if whole is None:
            return
        opcode, payload = whole
        if payload is None:
            self._problem(f"record {record.seq}: a compressed message could not be inflated")
        elif opcode in (TEXT, BINARY):
            self._message(opened, message_of(record, at, opcode, payload))
        elif opcode in (PING, PONG):
            ping = Ping(at, record.t, record.side, payload, pong=opcode == PONG)
            self._tell(ping_moment(opened.socket, ping, self._start))
        elif opcode == CLOSE and opened.open:
            self._closed_socket(opened, closing_of(record, at, payload))

    def _message(self, opened: OpenSocket, message: Message) -> None:
        socket = opened.socket
        place = opened.messages
        opened.heard(message)
        if message.peek.sid is not None and socket.sid is None:
            socket = opened.socket = msgspec.structs.replace(socket, sid=message.peek.sid)
            self._named(opened, socket.sid)
        prompt = None
        if message.side is Side.SERVER:
            prompt = self._about(opened, message)
            self._signs.message(message.peek.type)
            if self._order is not None and len(self.findings) < FINDINGS_MAX:
                self.findings += self._order.fed(
                    message, socket.number, self._start, self.prompts.number_of
                )
        number = None if prompt is None else prompt.number
        moment = message_moment(socket, place, message, number, opened.words, self._start)
        self._tell(moment, message)

    def _about(self, opened: OpenSocket, message: Message) -> LivePrompt | None:
        if isinstance(message.data, bytes):
            self.prompts.picture(message, opened.current)
            return None
        prompt = self.prompts.said(message, opened.socket)
        if prompt is not None:
            opened.current = prompt
        return prompt

    def _close(self, record: Closed, at: int) -> None:
        connection = self._connections.get(record.conn)
        if connection is None:
            return
        for asked in connection.asked.values():
            if asked.answered or asked.cut_by is not None or asked.answer_told:
                continue
            asked.cut_by, asked.cut_t, asked.cut_at = record.side, record.t, at
            self._tell_rest(record.conn, asked)
            exchange = asked.done(asked.number, record.conn)
            self._tell(cut_moment(exchange, self._start))
            if exchange.status is None:
                self._find(unanswered(exchange, self._start))
                self.prompts.unanswered(exchange)
        if connection.socket is not None and connection.socket.open:
            self._closed_socket(
                connection.socket, Closing(at=at, t=record.t, by=record.side, clean=False)
            )
        self._forget_later(record.conn, connection)

    def _closed_socket(self, opened: OpenSocket, closing: Closing) -> None:
        socket = opened.socket = msgspec.structs.replace(opened.socket, closing=closing)
        if self._order is not None:
            self._order.closed(socket.number)
        if not self._keep:
            del self.sockets[socket.number]
            for name in {socket.sid, socket.client_id}:
                self._by_name.pop(name or "", None)
        if not closing.clean:
            self._find(cut(socket, closing, self._start))
        self._tell(closed_moment(socket, closing, self._start))

    def _forget_later(self, conn: int, connection: LiveConnection) -> None:
        if connection.closed:
            return
        connection.closed = True
        self._closed.append(conn)
        if len(self._closed) > CLOSED_KEPT:
            for old in self._closed[: CLOSED_KEPT // 2]:
                gone = self._connections.get(old)
                if gone is not None and gone.closed:
                    del self._connections[old]
            del self._closed[: CLOSED_KEPT // 2]

    # --- what stands out -----------------------------------------------------------------------

    def _find(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def _problem(self, words: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(words)

    def _note(self, note: Note) -> None:
        if note.what == "lost":
            self._problem(f"record {note.seq}: {note.count} records were lost while recording")
        else:
            self._signs.about(facts_in(note))

    def _listens(self, client_id: str | None, at: int) -> bool:
        own = self._by_name.get(client_id or "", ())
        return any(one.open and one.socket.upgrade.request.at < at for one in own)

    def _named(self, opened: OpenSocket, name: str | None) -> None:
        own = self._by_name.setdefault(name or "", [])
        if opened not in own[-1:]:
            own.append(opened)

    def _count_poll(self, exchange: Exchange) -> None:
        key = exchange.target
        if key not in self._polled:
            if len(self._polled) >= POLLED_MAX:
                self._polled = {k: v for k, v in self._polled.items() if len(v[1]) > 1}
            self._polled[key] = route_of(exchange), array("q")
        self._polled[key][1].append(exchange.request.t - self._start)

    def _silence_before(self, t: int) -> None:
        length = t - self.t_end
        if self.t_end and length >= SILENCE_US_MIN:
            entry = length, self.t_end - self._start, self.prompts.going_on()
            if len(self._silences) < SILENCES_MAX:
                heapq.heappush(self._silences, entry)
            else:
                heapq.heappushpop(self._silences, entry)

    # --- the story -----------------------------------------------------------------------------

    @property
    def stated_version(self) -> str | None:
        """The server's version, if somebody has said it."""
        return self._signs.stated

    @property
    def duration_us(self) -> int:
        """From the first record to the latest."""
        return 0 if self.start is None else self.t_end - self.start

    def story(self, *, whole: bool = False) -> Story:
        """The story as it stands now.

        Args:
            whole: the recording has ended cleanly, so that what has no end is out of order.
        """
        start = self.start or 0
        prompts = self.prompts.stories(start)
        findings = [*self.findings, *self._unheard(prompts)]
        if whole and self._order is not None:
            findings += self._order.end(start, self.prompts.number_of)
        findings += [Finding("unreadable", "warns", None, words) for words in self._problems]
        last = self.t_end
        findings.sort(key=lambda finding: last if finding.t_us is None else finding.t_us)
        return Story(
            start_us=start,
            duration_us=self.duration_us,
            comfyui_version=self._signs.version,
            version_stated=self._signs.stated is not None,
            server=self._server,
            records=self.records,
            requests=self.requests,
            events=self.events,
            prompts=prompts,
            refusals=tuple(self.refusals),
            sockets=tuple(one.listener(start) for one in self.sockets.values()),
            polls=tuple(self._polls()),
            silences=tuple(self._longest_silences(prompts)),
            findings=tuple(findings),
        )

    def _unheard(self, prompts: tuple[PromptStory, ...]) -> Iterator[Finding]:
        for live, prompt in zip(self.prompts.all.values(), prompts, strict=True):
            posted = live.posted
            if posted is None or live.listened or prompt.outcome == "deleted":
                continue
            if prompt.client_id:
                own = self._by_name.get(prompt.client_id, ())
                asked = [one.socket.upgrade.request for one in own]
                yield unheard(prompt, [(one.at, one.t) for one in asked], posted)

    def _polls(self) -> list[Poll]:
        found = []
        for route, times in self._polled.values():
            if len(times) >= POLLS_MIN:
                pauses = sorted(b - a for a, b in pairwise(times))
                middle = pauses[len(pauses) // 2]
                found.append(Poll(route, len(times), times[0], times[-1], middle))
        return sorted(found, key=lambda poll: -poll.count)

    def _longest_silences(self, prompts: tuple[PromptStory, ...]) -> list[Silence]:
        least = max(SILENCE_US_MIN, int(self.duration_us * SILENCE_SHARE))
        behind = self._last_word - (self.start or 0)
        idle = all(prompt.outcome for prompt in prompts)
        found = [
            Silence(t_us, length, during)
            for length, t_us, during in self._silences
            if length >= least and not (idle and t_us >= behind)
        ]
        return sorted(found, key=lambda silence: silence.t_us)
