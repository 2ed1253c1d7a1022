"""timeline -> script: the recorded steps in order, and what each of them had to wait for.

A step is something the server did: a frame, a ping, a close, or a change of state that only HTTP
shows. A need is something a client did and that what follows may depend on: a connection, a prompt,
an interrupt, the first feature flags. In a play-through the steps wait at a need until the live
client did the same; between needs they keep the recorded distances.

Questions (GET) are no needs: a client that asks less, more or at other times holds up nothing.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from comfyrec.events.outputs import FileEntry, all_files_in
from comfyrec.http.request import loads_or_none
from comfyrec.http.routes import is_announced, is_question
from comfyrec.timeline import Closing, Exchange, Message, RecordedPrompt, Side, Socket, Timeline
from comfyrec.timeline.prompts import removed_ids
from fake_server.replay.recorded.id_mapping import RecordedIds
from fake_server.replay.recorded.other_ids import OtherIds, other_ids_of
from fake_server.replay.recorded.prompt_states import HERE, Lifecycle, Place, lifecycles_of

__all__ = [
    "EndStep",
    "Mark",
    "MarkKind",
    "Need",
    "NeedKind",
    "NeedStep",
    "PingStep",
    "Role",
    "Script",
    "SendStep",
    "Step",
]


class NeedKind(enum.IntEnum):
    """What a client has to do."""

    CONNECT = 0
    SUBMIT = 1
    CONTROL = 2
    """Interrupt, delete, cancel, subscribe, or a request of an extension that is not a question."""
    MESSAGE = 3
    """A message that the server answered."""


class Need(msgspec.Struct, eq=False):
    """Something that the live client has to do as well."""

    place: Place
    kind: NeedKind
    role: int | None
    """Whose doing it is; None: anybody's."""
    number: int = -1
    """Among all needs, in the order in which they were met, from 0."""
    step: int = -1
    """The place of its ``NeedStep`` in the script."""
    socket: int = -1
    """The recorded socket that it opens, or on which it says something."""
    message: Message | None = None
    """What it says."""
    exchange: int = -1
    prompt: int = -1
    cancelled: frozenset[int] = frozenset()
    """The prompts that a control stopped or took off the queue."""


class Step(msgspec.Struct, eq=False, kw_only=True):
    """One entry of the script."""

    place: Place
    t: int
    """Absolute Unix time in microseconds, as recorded."""
    due: int = 0
    """Microseconds since the script began, long gaps cut where that was asked for."""
    owner: int | None = None
    """The prompt that it is about."""

    @property
    def rank(self) -> int:
        """What comes first at one and the same place."""
        return 0


class NeedStep(Step, kw_only=True):
    """The script waits for a client."""

    need: Need


class SendStep(Step, kw_only=True):
    """The server sends a message."""

    socket: Socket
    message: Message
    reply_to: Need | None = None
    """The need that it is the immediate answer of."""

    @property
    def rank(self) -> int:
        """Behind the need that it answers."""
        return 1


class PingStep(Step, kw_only=True):
    """The server sends a ping."""

    socket: Socket
    payload: bytes

    @property
    def rank(self) -> int:
        """Behind the messages."""
        return 2


class EndStep(Step, kw_only=True):
    """The server closes or cuts a socket."""

    socket: Socket
    closing: Closing

    @property
    def rank(self) -> int:
        """Behind all that was sent."""
        return 3


class MarkKind(enum.IntEnum):
    """A change of state that only HTTP shows."""

    STARTED = 4
    WRITTEN = 5
    """The history has the prompt from here on."""
    ENDED = 6


class Mark(Step, kw_only=True):
    """A prompt has come further."""

    prompt: int
    kind: MarkKind

    @property
    def rank(self) -> int:
        """Behind the frames, in the order of a prompt's life."""
        return int(self.kind)


class Role(msgspec.Struct, frozen=True):
    """One recorded client: all sockets and prompts of one client id."""

    number: int
    name: str
    anonymous: bool
    """True: it gave no client id and used what the server minted."""
    sockets: tuple[int, ...]
    prompts: tuple[int, ...]


class Script(msgspec.Struct, frozen=True):
    """All that a play-through reads; it is made once and never changed."""

    timeline: Timeline
    steps: tuple[Step, ...]
    needs: tuple[Need, ...]
    """In the order in which they were met."""
    replies: Mapping[Need, tuple[SendStep, ...]]
    """Need -> the steps that are its immediate answer."""
    owned: Mapping[int, tuple[Step, ...]]
    """Prompt -> its steps: what is left out when it is not played, and played when it is again."""
    roles: tuple[Role, ...]
    role_of_socket: tuple[Role, ...]
    need_of_socket: tuple[Need, ...]
    need_of_prompt: Mapping[int, Need]
    lifecycles: tuple[Lifecycle, ...]
    recorded_ids: RecordedIds
    other_ids: OtherIds
    files: tuple[FileEntry, ...]
    """Every file that a prompt made."""
    idle_time_limit_us: int | None = None

    def step_before(self, at: int) -> Step | None:
        """The last step that stands before a place of the recording."""
        behind = bisect_left(self.steps, at, key=_record_of)
        return self.steps[behind - 1] if behind else None

    @classmethod
    def of(cls, timeline: Timeline, *, idle_time_limit_us: int | None = None) -> Script:
        """The script of a recording.

        Args:
            timeline: what was recorded.
            idle_time_limit_us: no gap between two steps is longer.
        """
        return _Writer(timeline).write(idle_time_limit_us)


class _Writer:
    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.lifecycles, statuses = lifecycles_of(timeline)
        self.needs: list[Need] = []
        self.steps: list[Step] = []
        self.owner_of_status = {(s, place): prompt for s, place, prompt in statuses.owners()}
        self.prompt_of = {p.submitted: p for p in timeline.prompts if p.submitted is not None}
        self.about = {frame: p.number for p in timeline.prompts for frame in p.frames}
        self.roles = _roles(timeline)
        self.role_of = {role.name: role for role in self.roles}
        self.role_of_socket = {s: role for role in self.roles for s in role.sockets}
        self._times: dict[int, int] = {}
        self.logs = any(m.peek.type == "logs" for s in timeline.sockets for m in s.messages)

    def write(self, idle_time_limit_us: int | None) -> Script:
        for socket in self.timeline.sockets:
            self._socket(socket)
        for exchange in self.timeline.exchanges:
            self._exchange(exchange)
        for prompt, lifecycle in zip(self.timeline.prompts, self.lifecycles, strict=True):
            self._lifecycle(prompt, lifecycle)
        self._in_order()
        _set_due(self.steps, idle_time_limit_us)
        ids = list(_ids(self.timeline, self.roles))
        others = other_ids_of(self.timeline, ids)
        connects = {n.socket: n for n in self.needs if n.kind is NeedKind.CONNECT}
        return Script(
            timeline=self.timeline,
            steps=tuple(self.steps),
            needs=tuple(self.needs),
            replies=_replies(self.steps),
            owned=_owned(self.steps),
            roles=self.roles,
            role_of_socket=tuple(self.role_of_socket[s.number] for s in self.timeline.sockets),
            need_of_socket=tuple(connects[s.number] for s in self.timeline.sockets),
            need_of_prompt={n.prompt: n for n in self.needs if n.kind is NeedKind.SUBMIT},
            lifecycles=tuple(self.lifecycles),
            recorded_ids=RecordedIds(ids, others.all, others.authorities),
            other_ids=others,
            files=tuple(
                file for prompt in self.timeline.prompts for file in all_files_in(prompt.outputs)
            ),
            idle_time_limit_us=idle_time_limit_us,
        )

    def _in_order(self) -> None:
        """Number the needs as they come; so far they are in the order of sockets and requests."""
        self.needs.sort(key=lambda need: need.place)
        for number, need in enumerate(self.needs):
            need.number = number
        self.steps.sort(key=_order)
        for number, step in enumerate(self.steps):
            if isinstance(step, NeedStep):
                step.need.step = number

    # --- needs ---------------------------------------------------------------------------------

    def _need(self, need: Need, t: int) -> Need:
        self.needs.append(need)
        self.steps.append(NeedStep(place=need.place, t=t, need=need))
        return need

    def _exchange(self, exchange: Exchange) -> None:
        place, t = (exchange.request.at, HERE), exchange.request.t_end
        prompt = self.prompt_of.get(exchange.number)
        if prompt is not None:
            role = self.role_of.get(prompt.client_id or "")
            need = Need(
                place,
                NeedKind.SUBMIT,
                role.number if role is not None else None,
                exchange=exchange.number,
                prompt=prompt.number,
            )
            self._need(need, t)
        elif (cancelled := self._cancelled(exchange)) is not None:
            need = Need(
                place, NeedKind.CONTROL, None, exchange=exchange.number, cancelled=cancelled
            )
            self._need(need, t)

    def _cancelled(self, exchange: Exchange) -> frozenset[int] | None:
        """Whom a request stopped; None when nothing that was said afterwards depends on it."""
        cancelled = frozenset(
            number
            for number, lifecycle in enumerate(self.lifecycles)
            if exchange.number in (lifecycle.deleted_by, lifecycle.interrupted_by)
        )
        if cancelled:
            return cancelled
        changes = not is_question(exchange.method, exchange.path)
        if not changes or exchange.status is None or exchange.status >= 400:
            return None
        path = exchange.path
        if path == "/queue" and removed_ids(exchange) is None:
            return cancelled
        if path == "/internal/logs/subscribe":
            return cancelled if self.logs else None
        return cancelled if is_announced(exchange.asked.parts) else None

    # --- sockets -------------------------------------------------------------------------------

    def _socket(self, socket: Socket) -> None:
        role = self.role_of_socket[socket.number]
        connect = self._connect(socket, role)
        greeting = True
        replies: dict[int, Need] = {}
        for part, message in enumerate(socket.messages):
            if message.side is Side.CLIENT:
                flags = _flags_behind(socket, part)
                if flags is not None:
                    need = Need(
                        (message.at, HERE),
                        NeedKind.MESSAGE,
                        role.number,
                        socket=socket.number,
                        message=message,
                    )
                    replies[flags] = self._need(need, message.t)
                continue
            greeting = greeting and _greets(message)
            self._send(socket, part, connect if greeting else replies.get(part))
        self._controls(socket)

    def _connect(self, socket: Socket, role: Role) -> Need:
        request = socket.upgrade.request
        at, t = request.at, request.t_end
        if not request.start and socket.messages:
            # The recording lost the upgrade; what came behind it is still there.
            at, t = socket.messages[0].at, socket.messages[0].t
        need = Need((at, HERE), NeedKind.CONNECT, role.number, socket=socket.number)
        return self._need(need, t)

    def _controls(self, socket: Socket) -> None:
        for ping in socket.pings:
            if ping.side is Side.SERVER and not ping.pong:
                place = (ping.at, HERE)
                step = PingStep(place=place, t=ping.t, socket=socket, payload=ping.payload)
                self.steps.append(step)
        closing = socket.closing
        if closing is not None and closing.by is Side.SERVER:
            place = (closing.at, HERE)
            self.steps.append(EndStep(place=place, t=closing.t, socket=socket, closing=closing))

    def _send(self, socket: Socket, part: int, reply_to: Need | None) -> None:
        frame, message = (socket.number, part), socket.messages[part]
        owner = self.about.get(frame, self.owner_of_status.get(frame))
        if owner is None and reply_to is None and message.peek.queue_remaining is None:
            owner = self._during(socket, message.at)
        step = SendStep(
            place=(message.at, HERE),
            t=message.t,
            owner=owner,
            socket=socket,
            message=message,
            reply_to=reply_to,
        )
        self.steps.append(step)

    def _during(self, socket: Socket, at: int) -> int | None:
        """The prompt of this socket's client that ran just then: previews do not name theirs."""
        for number in self.role_of_socket[socket.number].prompts:
            lifecycle = self.lifecycles[number]
            if lifecycle.started is None or at < lifecycle.started[0]:
                continue
            if lifecycle.ended is None or at < lifecycle.ended[0]:
                return number
        return None

    # --- prompts -------------------------------------------------------------------------------

    def _lifecycle(self, prompt: RecordedPrompt, lifecycle: Lifecycle) -> None:
        marks = (
            (MarkKind.STARTED, lifecycle.started, lifecycle.started_t),
            (MarkKind.WRITTEN, lifecycle.written, lifecycle.ended_t),
            (
                MarkKind.ENDED,
                lifecycle.ended if lifecycle.deleted_by is None else None,
                lifecycle.ended_t,
            ),
        )
        number = prompt.number
        for kind, place, between in marks:
            if place is not None:
                t = self._time_at(place[0]) if between is None else between
                mark = Mark(place=place, t=t, owner=number, prompt=number, kind=kind)
                self.steps.append(mark)

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


def _record_of(step: Step) -> int:
    return step.place[0]


def _order(step: Step) -> tuple[Place, int]:
    return step.place, step.rank


def _replies(steps: Sequence[Step]) -> dict[Need, tuple[SendStep, ...]]:
    found: dict[Need, tuple[SendStep, ...]] = {}
    for step in steps:
        if isinstance(step, SendStep) and step.reply_to is not None:
            found[step.reply_to] = (*found.get(step.reply_to, ()), step)
    return found


def _owned(steps: Sequence[Step]) -> dict[int, tuple[Step, ...]]:
    found: dict[int, list[Step]] = {}
    for step in steps:
        if step.owner is not None:
            found.setdefault(step.owner, []).append(step)
    return {prompt: tuple(owned) for prompt, owned in found.items()}


def _set_due(steps: Sequence[Step], limit: int | None) -> None:
    due, last = 0, None
    for step in steps:
        gap = 0 if last is None else max(step.t - last, 0)
        due += gap if limit is None else min(gap, limit)
        last = step.t if last is None else max(step.t, last)
        step.due = due


def _greets(message: Message) -> bool:
    """A greeting: status with the sid, and which node runs (protocol.md, section 3)."""
    peek = message.peek
    return peek.sid is not None or (
        peek.type == "executing" and peek.prompt_id is None and peek.node is not None
    )


def _flags_behind(socket: Socket, place: int) -> int | None:
    """The ``feature_flags`` that answer a client's message."""
    message = socket.messages[place]
    if not isinstance(message.data, str) or not isinstance(loads_or_none(message.data), dict):
        return None
    for behind in range(place + 1, len(socket.messages)):
        later = socket.messages[behind]
        if later.side is Side.CLIENT:
            return None
        if later.peek.type == "feature_flags":
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
