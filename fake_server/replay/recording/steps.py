"""timeline -> script: the recorded steps in order, and what each of them had to wait for.

A step is something the server did: a frame, a ping, a close, or a change of state that only HTTP
shows. A need is something a client did and that what follows may depend on: a connection, a prompt,
an interrupt, the first feature flags. In a play-through the steps wait at a need until the live
client did the same; between needs they keep the recorded distances.

Questions (GET) are no needs: a client that asks less, more or at other times holds up nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from comfyrec.timeline import Exchange, Message, RecordedPrompt, Side, Socket, Timeline
from comfyrec.timeline.peek import loads
from comfyrec.timeline.prompts import plain_path, removed_ids
from fake_server.replay.recording.id_mapping import Vocabulary
from fake_server.replay.recording.prompt_states import HERE, Life, Place, lives_of

__all__ = ["Kind", "Need", "NeedKind", "Role", "Script", "Step"]


class Kind(enum.IntEnum):
    """What a step is."""

    NEED = 0
    SEND = 1
    PING = 2
    END = 3
    """The server closes or cuts a socket."""
    STARTED = 4
    WRITTEN = 5
    """The history has the prompt from here on."""
    ENDED = 6


class NeedKind(enum.IntEnum):
    """What a client has to do."""

    KNOCK = 0
    SUBMIT = 1
    CONTROL = 2
    """Interrupt, delete, cancel, subscribe, or a request of an extension that is no question."""
    SAY = 3
    """A message that the server answered."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """One entry of the script."""

    place: Place
    due: int
    """Microseconds since the script began, long gaps cut where that was asked for."""
    kind: Kind
    index: int
    """The need, the socket or the prompt."""
    part: int = 0
    """The place in the socket's ``messages`` or ``pings``."""
    owner: int = -1
    """The prompt that it is about, -1 for none."""
    reply_to: int = -1
    """The need that it is the immediate answer of, -1 for none."""


class Need(msgspec.Struct, frozen=True):
    """Something that the live client has to do as well."""

    number: int
    place: Place
    kind: NeedKind
    role: int | None
    """Whose doing it is; None: anybody's."""
    socket: int = -1
    part: int = -1
    exchange: int = -1
    prompt: int = -1
    victims: frozenset[int] = frozenset()
    """The prompts that a control stopped or took off the queue."""


class Role(msgspec.Struct, frozen=True):
    """One recorded client: all sockets and prompts of one client id."""

    number: int
    name: str
    anonymous: bool
    """True: it gave no client id and used what the server minted."""
    sockets: tuple[int, ...]
    prompts: tuple[int, ...]


# Requests that change something, and that no frame follows: nothing waits for them.
_SILENT: Final = (
    "/prompt", "/history", "/free", "/upload/", "/userdata", "/settings", "/users", "/interrupt",
    "/queue", "/jobs", "/experiment", "/ws", "/v2/userdata",
)  # fmt: skip


class Script(msgspec.Struct, frozen=True):
    """All that a play-through reads; it is made once and never changed."""

    timeline: Timeline
    steps: tuple[Step, ...]
    needs: tuple[Need, ...]
    """In the order in which they were met."""
    step_of: tuple[int, ...]
    """Need -> its step."""
    replies: Mapping[int, tuple[int, ...]]
    """Need -> the steps that are its immediate answer."""
    owned: Mapping[int, tuple[int, ...]]
    """Prompt -> its steps: what is left out when it is not played, and played when it is again."""
    roles: tuple[Role, ...]
    role_of_socket: tuple[Role, ...]
    knock_of_socket: tuple[Need, ...]
    need_of_prompt: Mapping[int, Need]
    lives: tuple[Life, ...]
    vocabulary: Vocabulary

    @classmethod
    def of(cls, timeline: Timeline, *, idle_time_limit_us: int | None = None) -> Script:
        """The script of a recording.

        Args:
            timeline: what was recorded.
            idle_time_limit_us: no gap between two steps is longer.
        """
        return _Writer(timeline).write(idle_time_limit_us)


class _Entry(msgspec.Struct):
    """A step before its time is known."""

    place: Place
    t: int
    kind: Kind
    index: int
    part: int = 0
    owner: int = -1
    reply_to: int = -1


class _Writer:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        lives, statuses = lives_of(timeline)
        self.lives = lives
        self.needs: list[Need] = []
        self.entries: list[_Entry] = []
        self.owner_of_status = {(s, place): prompt for s, place, prompt in statuses.owners()}
        self.prompt_of = {p.submitted: p for p in timeline.prompts if p.submitted is not None}
        self.about = {frame: p.number for p in timeline.prompts for frame in p.frames}
        self.roles = _roles(timeline)
        self.role_of = {role.name: role for role in self.roles}
        self.role_of_socket = {s: role for role in self.roles for s in role.sockets}
        self._times: dict[int, int] = {}
        self.logs = any(m.told.type == "logs" for s in timeline.sockets for m in s.messages)

    def write(self, idle_time_limit_us: int | None) -> Script:
        for socket in self.timeline.sockets:
            self._socket(socket)
        for exchange in self.timeline.exchanges:
            self._exchange(exchange)
        for prompt, life in zip(self.timeline.prompts, self.lives, strict=True):
            self._life(prompt, life)
        self._in_order()
        steps = tuple(_timed(self.entries, idle_time_limit_us))
        step_of = {step.index: n for n, step in enumerate(steps) if step.kind is Kind.NEED}
        knocks = {n.socket: n for n in self.needs if n.kind is NeedKind.KNOCK}
        return Script(
            timeline=self.timeline,
            steps=steps,
            needs=tuple(self.needs),
            step_of=tuple(step_of[n.number] for n in self.needs),
            replies=_grouped(steps, lambda step: step.reply_to),
            owned=_grouped(steps, lambda step: step.owner),
            roles=self.roles,
            role_of_socket=tuple(self.role_of_socket[s.number] for s in self.timeline.sockets),
            knock_of_socket=tuple(knocks[s.number] for s in self.timeline.sockets),
            need_of_prompt={n.prompt: n for n in self.needs if n.kind is NeedKind.SUBMIT},
            lives=tuple(self.lives),
            vocabulary=Vocabulary(_ids(self.timeline, self.roles)),
        )

    def _in_order(self) -> None:
        """Number the needs as they come; so far they are in the order of sockets and requests."""
        self.needs.sort(key=lambda need: need.place)
        number_of = {need.number: number for number, need in enumerate(self.needs)}
        self.needs = [
            msgspec.structs.replace(need, number=number) for number, need in enumerate(self.needs)
        ]
        for entry in self.entries:
            if entry.kind is Kind.NEED:
                entry.index = number_of[entry.index]
            if entry.reply_to >= 0:
                entry.reply_to = number_of[entry.reply_to]
        self.entries.sort(key=lambda entry: (entry.place, entry.kind))

    # --- needs ---------------------------------------------------------------------------------

    def _need(
        self,
        kind: NeedKind,
        place: Place,
        t: int,
        role: Role | None,
        *,
        socket: int = -1,
        part: int = -1,
        exchange: int = -1,
        prompt: int = -1,
        victims: frozenset[int] = frozenset(),
    ) -> int:
        need = Need(
            number=len(self.needs), place=place, kind=kind,
            role=role.number if role is not None else None,
            socket=socket, part=part, exchange=exchange, prompt=prompt, victims=victims,
        )  # fmt: skip
        self.needs.append(need)
        self.entries.append(_Entry(place, t, Kind.NEED, need.number))
        return need.number

    def _exchange(self, exchange: Exchange) -> None:
        place, t = (exchange.request.at, HERE), exchange.request.t_end
        prompt = self.prompt_of.get(exchange.number)
        if prompt is not None:
            role = self.role_of.get(prompt.client_id or "")
            self._need(
                NeedKind.SUBMIT, place, t, role, exchange=exchange.number, prompt=prompt.number
            )
        elif (victims := self._victims(exchange)) is not None:
            self._need(NeedKind.CONTROL, place, t, None, exchange=exchange.number, victims=victims)

    def _victims(self, exchange: Exchange) -> frozenset[int] | None:
        """Whom a request stopped; None when nothing that was said afterwards depends on it."""
        victims = frozenset(
            number
            for number, life in enumerate(self.lives)
            if exchange.number in (life.deleted_by, life.interrupted_by)
        )
        if victims:
            return victims
        changes = exchange.method not in ("GET", "HEAD", "OPTIONS")
        if not changes or exchange.status is None or exchange.status >= 400:
            return None
        path = plain_path(exchange)
        if path == "/queue" and removed_ids(exchange) is None:
            return victims
        if path == "/internal/logs/subscribe":
            return victims if self.logs else None
        return None if path.startswith(_SILENT) else victims

    # --- sockets -------------------------------------------------------------------------------

    def _socket(self, socket: Socket) -> None:
        role = self.role_of_socket[socket.number]
        knock = self._knock(socket, role)
        greeting = True
        replies: dict[int, int] = {}
        for part, message in enumerate(socket.messages):
            if message.side is Side.CLIENT:
                flags = _flags_behind(socket, part)
                if flags is not None:
                    replies[flags] = self._need(
                        NeedKind.SAY, (message.at, HERE), message.t, role,
                        socket=socket.number, part=part,
                    )  # fmt: skip
                continue
            greeting = greeting and _greets(message)
            self._send(socket, part, message, knock if greeting else replies.get(part, -1))
        self._controls(socket)

    def _knock(self, socket: Socket, role: Role) -> int:
        request = socket.upgrade.request
        at, t = request.at, request.t_end
        if not request.start and socket.messages:
            # The recording lost the upgrade; what came behind it is still there.
            at, t = socket.messages[0].at, socket.messages[0].t
        return self._need(NeedKind.KNOCK, (at, HERE), t, role, socket=socket.number)

    def _controls(self, socket: Socket) -> None:
        for part, ping in enumerate(socket.pings):
            if ping.side is Side.SERVER and not ping.pong:
                self.entries.append(_Entry((ping.at, HERE), ping.t, Kind.PING, socket.number, part))
        closing = socket.closing
        if closing is not None and closing.by is Side.SERVER:
            self.entries.append(_Entry((closing.at, HERE), closing.t, Kind.END, socket.number))

    def _send(self, socket: Socket, part: int, message: Message, reply_to: int) -> None:
        frame = (socket.number, part)
        owner = self.about.get(frame, self.owner_of_status.get(frame, -1))
        if owner == -1 and reply_to == -1 and message.told.queue_remaining is None:
            owner = self._during(socket, message.at)
        self.entries.append(
            _Entry((message.at, HERE), message.t, Kind.SEND, socket.number, part, owner, reply_to)
        )

    def _during(self, socket: Socket, at: int) -> int:
        """The prompt of this socket's client that ran just then: previews do not name theirs."""
        for number in self.role_of_socket[socket.number].prompts:
            life = self.lives[number]
            if life.started is None or at < life.started[0]:
                continue
            if life.ended is None or at < life.ended[0]:
                return number
        return -1

    # --- prompts -------------------------------------------------------------------------------

    def _life(self, prompt: RecordedPrompt, life: Life) -> None:
        marks = (
            (Kind.STARTED, life.started),
            (Kind.WRITTEN, life.written),
            (Kind.ENDED, life.ended if life.deleted_by is None else None),
        )
        for kind, place in marks:
            if place is not None:
                t = self._time_at(place[0])
                self.entries.append(_Entry(place, t, kind, prompt.number, owner=prompt.number))

    def _time_at(self, at: int) -> int:
        """The time of the record that a mark stands beside."""
        if not self._times:
            for exchange in self.timeline.exchanges:
                for half in (exchange.request, exchange.response):
                    if half is not None:
                        self._times[half.at] = half.t_end
            for socket in self.timeline.sockets:
                self._times.update((m.at, m.t) for m in socket.messages)
        return self._times.get(at, self.timeline.t)


def _grouped(steps: Sequence[Step], group: Callable[[Step], int]) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        if group(step) >= 0:
            found.setdefault(group(step), []).append(number)
    return {key: tuple(numbers) for key, numbers in found.items()}


def _timed(entries: Sequence[_Entry], limit: int | None) -> Iterator[Step]:
    due, last = 0, None
    for entry in entries:
        gap = 0 if last is None else max(entry.t - last, 0)
        due += gap if limit is None else min(gap, limit)
        last = entry.t if last is None else max(entry.t, last)
        yield Step(
            place=entry.place,
            due=due,
            kind=entry.kind,
            index=entry.index,
            part=entry.part,
            owner=entry.owner,
            reply_to=entry.reply_to,
        )


def _greets(message: Message) -> bool:
    """A greeting: status with the sid, and which node runs (PROTOCOL.md, section 3)."""
    told = message.told
    return told.sid is not None or (
        told.type == "executing" and told.prompt_id is None and told.node is not None
    )


def _flags_behind(socket: Socket, place: int) -> int | None:
    """The ``feature_flags`` that answer a client's message."""
    message = socket.messages[place]
    if not isinstance(message.data, str) or not isinstance(loads(message.data), dict):
        return None
    for behind in range(place + 1, len(socket.messages)):
        later = socket.messages[behind]
        if later.side is Side.CLIENT:
            return None
        if later.told.type == "feature_flags":
            return behind
    return None


def _roles(timeline: Timeline) -> tuple[Role, ...]:
    sockets: dict[str, list[int]] = {}
    prompts: dict[str, list[int]] = {}
    anonymous = set()
    for socket in timeline.sockets:
        sockets.setdefault(socket.name, []).append(socket.number)
        if not socket.client_id:
            anonymous.add(socket.name)
    for prompt in timeline.prompts:
        if prompt.client_id:
            prompts.setdefault(prompt.client_id, []).append(prompt.number)
    names = dict.fromkeys([*sockets, *prompts])
    return tuple(
        Role(
            number=number,
            name=name,
            anonymous=name in anonymous,
            sockets=tuple(sockets.get(name, ())),
            prompts=tuple(prompts.get(name, ())),
        )
        for number, name in enumerate(names)
    )


def _ids(timeline: Timeline, roles: Sequence[Role]) -> Iterator[str]:
    yield from (prompt.prompt_id for prompt in timeline.prompts)
    yield from (role.name for role in roles)
    yield from (socket.client_id or "" for socket in timeline.sockets)
