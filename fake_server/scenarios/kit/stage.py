"""source + operators -> source. Everything that passes, in either direction, passes each operator.

The operators stand in a row, the first one nearest to the client. What happened goes through them
inwards to the source, what shall happen comes back outwards. An operator may let pass, change,
hold back, drop or add, on both ways; the stage keeps the agenda of what was held back.

A client that submits its prompt before its socket is open would miss what a scenario about frames
is about. There the run waits after the response to ``POST /prompt`` until the client has a socket,
or has had ``SOCKET_PATIENCE_MS`` of real time to open one.

After the last input, ``finish`` says which operators never had anything to do, or nothing that the
client under test could notice.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import quote

from fake_server.scenarios.kit.observer import MILLISECOND, Observer
from fake_server.scenarios.kit.operator import (
    Complaint,
    DoLater,
    EndPrompts,
    HearAgain,
    Operator,
    RestartSource,
    Step,
)
from fake_server.scenarios.kit.requests import posts
from fake_server.source import (
    Action,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    RealTimePassed,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Send,
    Source,
    UpgradeRequested,
    WaitRealTime,
    Wake,
    Woke,
)

if TYPE_CHECKING:
    from comfyrec.timeline import Timeline

__all__ = ["Stage"]

_OUR_EXCHANGES: Final = 1 << 48
"""Far beyond what a shell counts up to."""

SOCKET_PATIENCE_MS: Final = 1_000
"""What clients do between their POST and their socket (start a thread, look up an address) takes
some hundred milliseconds; one that only polls loses this once."""

_HANDSHAKE_MS: Final = 20
"""Until a socket that was accepted is open at the client too: what comes at once might cut it off
before its 101 is written."""

_UPGRADE: Final = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "Y29tZnlyZWMgbGlzdGVucw=="),
)
"""What makes a request a WebSocket handshake."""

_HAPPENED: Final = (
    RequestReceived,
    UpgradeRequested,
    MessageReceived,
    Disconnected,
    RequestAborted,
    Woke,
    RealTimePassed,
)


class Stage(Source):
    """A source under operators, itself a source.

    Args:
        make: gives a fresh source; called once now and once for each ``Reset``.
        operators: fresh ones, the first nearest to the client.
        seed: where all chance of the operators comes from.
        split: sockets go to a second source of their own, as behind a careless load balancer.
        name: of the scenarios, for complaints.
        waits_for_socket: a run waits, with patience, until the client has a socket.
        lifelike: nodes take their time, so what happens "in a node" happens in the middle one.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        operators: Sequence[Operator] = (),
        *,
        seed: int = 0,
        split: bool = False,
        name: str = "",
        waits_for_socket: bool = False,
        lifelike: bool = False,
    ) -> None:
        self.observer = Observer(seed=seed, ask=self._ask, lifelike=lifelike)
        self._make, self._split, self._name = make, split, name
        self._operators = tuple(operators)
        self._agenda: list[tuple[int, int, int, Step]] = []
        self._serial = count()
        self._announced: set[int] = set()
        self._stepwise = False
        self._placeholders: dict[int, str] = {}
        """Sockets of ours that listen in the place of the client's: their client id."""
        self._waits_for_socket = waits_for_socket
        self._patience: int | None = None
        """The token of the wait for the client's socket, while the run waits for it."""
        self._unheard: list[Send] = []
        """What the source has said meanwhile."""
        self._postponed: list[tuple[int, int, DoLater]] = []
        """What others do about the run so long after it was submitted: delay, level and step."""
        self._learned: list[Mapping[str, Any]] = []
        self._start_source()

    def _start_source(self) -> None:
        self._base = self._make()
        self._socket_source = self._make() if self._split else self._base
        if self._stepwise:
            self.step_by_frame(True)
        for source in self._sources() if self._learned else ():
            source.learn(self._learned)
        self._wakes: list[tuple[int, int, Source]] = []

    # --- the source protocol -----------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Take what happened at ``now`` and say what shall happen, in order."""
        observer = self.observer
        observer.now = max(observer.now, now)
        yield from self._due(now)
        observer.now = now
        if isinstance(happened, RealTimePassed) and happened.token == self._patience:
            yield from self._go_on_with_the_run()
            yield from self._due(now)
        elif not isinstance(happened, Woke):
            observer.from_client(happened)
            yield from self._inwards(0, happened)
            if self._patience is not None and isinstance(happened, UpgradeRequested):
                yield from self._wait_for_the_handshake()
            yield from self._due(now)
        observer.notice_quiet_ends()
        yield from self._wake_me()

    def facts(self) -> Mapping[str, Any]:
        """The source's facts, and what the operators have done so far."""
        done = {op.tally.name: op.tally.matched for op in self._operators}
        return {**self._base.facts(), "operators": done}

    def ended(self, prompt_id: str) -> Mapping[str, Any] | None:
        """As the source; of two servers, as one that knows of it."""
        told = (source.ended(prompt_id) for source in self._sources())
        return next((entry for entry in told if entry is not None), None)

    def reset(self, parts: Collection[str]) -> None:
        """Let the source forget; what the operators have done stays counted."""
        for source in self._sources():
            source.reset(parts)

    def step_by_frame(self, on: bool) -> None:
        """Let the source stop after each frame, also one that takes its place later."""
        self._stepwise = on
        self._let_step(on or self._patience is not None)

    def _let_step(self, on: bool) -> None:
        for source in self._sources():
            source.step_by_frame(on)

    def learn(self, workflows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Let the source learn, also one that takes its place later."""
        facts = [source.learn(workflows) for source in self._sources()]
        self._learned += workflows
        return facts[0]

    @property
    def complaints(self) -> Sequence[str]:
        """The source's, and once a prompt was accepted: operators that had nothing to do."""
        idle = [one for one in self.finish() if one.needed] if self.observer.mine() else []
        return [*self._base.complaints, *(f"scenario {self._name}: {one}" for one in idle)]

    @property
    def timeline(self) -> Timeline | None:
        """The recording that the source replays."""
        return self._base.timeline

    @property
    def takes_stored(self) -> bool:
        """No: operators look into bodies."""
        return False

    @property
    def source(self) -> Source:
        """What plays under the operators now."""
        return self._base

    @property
    def is_bare(self) -> bool:
        """Whether there are no operators: it only looks on."""
        return not self._operators

    def _sources(self) -> list[Source]:
        return [self._base, self._socket_source] if self._split else [self._base]

    def finish(self) -> list[Complaint]:
        """Say of which operators the client met nothing, at the end of a scenario.

        Those that wait for something a client may well leave undone are only named when it met
        none of the operators.
        """
        idle = [op.tally for op in self._operators if op.tally.reached == 0]
        nothing_at_all = len(idle) == len(self._operators)
        return [
            Complaint(one.name, bool(one.needed), missed=one.matched > 0)
            for one in idle
            if one.needed or (nothing_at_all and one.needed is not None)
        ]

    # --- inwards and outwards ----------------------------------------------------------------

    def _inwards(self, level: int, happened: Happened) -> Iterator[Action]:
        if level == len(self._operators):
            yield from self._play(happened)
            return
        hear = self._operators[level].hear
        if hear is None:
            yield from self._inwards(level + 1, happened)
            return
        for step in hear(happened, self.observer):
            yield from self._go_on(level, step)

    def _outwards(self, level: int, action: Action) -> Iterator[Action]:
        if level < 0:
            action_seen = self._not_to_the_dead(action)
            if action_seen is not None:
                self.observer.to_client(action_seen)
                yield action_seen
            return
        act = self._operators[level].act
        if act is None:
            yield from self._outwards(level - 1, action)
            return
        for step in act(action, self.observer):
            yield from self._go_on(level, step)

    def _go_on(self, level: int, step: Step) -> Iterator[Action]:
        if isinstance(step, DoLater | HearAgain):
            delay = step.at - self.observer.now
            if self._patience is not None and delay > 0 and _is_about_the_run(step):
                self._postponed.append((delay, level, step))
                return
            heapq.heappush(self._agenda, (step.at, next(self._serial), level, step))
        elif isinstance(step, RestartSource):
            self._start_source()
        elif isinstance(step, EndPrompts):
            self.observer.end(step.ending)
        elif isinstance(step, _HAPPENED):
            self.observer.from_operator(step)
            yield from self._inwards(level + 1, step)
        else:
            yield from self._outwards(level - 1, step)

    def _play(self, happened: Happened) -> Iterator[Action]:
        self.observer.to_source(happened)
        if (
            isinstance(happened, RequestReceived)
            and happened.exchange >= 0
            and posts(happened.request)
        ):
            yield from self._see_to_a_socket(happened.request)
        on_a_socket = isinstance(happened, UpgradeRequested | MessageReceived | Disconnected)
        yield from self._feed(self._socket_source if on_a_socket else self._base, happened)

    def _feed(self, source: Source, happened: Happened) -> Iterator[Action]:
        for action in source.handle(happened, self.observer.now):
            if isinstance(action, Wake):
                heapq.heappush(self._wakes, (action.at, next(self._serial), source))
                continue
            self.observer.from_source(action)
            if self._patience is not None and _is_for_nobody(action):
                self._unheard.append(action)
                continue
            outside = _for_the_client(action)
            if outside is not None:
                yield from self._outwards(len(self._operators) - 1, outside)

    def _not_to_the_dead(self, action: Action) -> Action | None:
        if not isinstance(action, Send):
            return action
        # An operator cut some of these sockets; the source has not been told yet.
        alive = tuple(socket for socket in action.sockets if socket not in self.observer.cut)
        return Send(alive, action.message) if alive else None

    # --- a client without a socket -----------------------------------------------------------

    def _see_to_a_socket(self, request: Request) -> Iterator[Action]:
        # A server says nothing of a prompt whose client has no socket, and operators wait for a
        # moment in what it says. So somebody listens in the place of a client that does not; if it
        # connects later, its own socket takes over (protocol.md section 3).
        body = request.json
        client_id = body.get("client_id") if isinstance(body, dict) else None
        if isinstance(client_id, str) and client_id not in self.observer.sockets.values():
            self._open_placeholder(client_id)
        if self._waits_for_socket and self._patience is None and not self.observer.open_sockets():
            self._let_step(True)  # so that its history is never ahead of what was heard
            yield self._begin_to_wait(SOCKET_PATIENCE_MS)

    def _open_placeholder(self, client_id: str) -> None:
        socket = self.observer.other_user()
        self._placeholders[socket] = client_id
        target = f"/ws?clientId={quote(client_id, safe='')}"
        upgrade = UpgradeRequested(socket, Request("GET", target, _UPGRADE))
        for action in self._socket_source.handle(upgrade, self.observer.now):
            # What it is greeted with is nothing of the client's.
            if isinstance(action, Wake):
                heapq.heappush(self._wakes, (action.at, next(self._serial), self._socket_source))

    def _begin_to_wait(self, ms: int) -> Action:
        self._patience = self.observer.token()
        return WaitRealTime(self._patience, ms * MILLISECOND)

    def _wait_for_the_handshake(self) -> Iterator[Action]:
        if self.observer.open_sockets():
            yield self._begin_to_wait(_HANDSHAKE_MS)

    def _go_on_with_the_run(self) -> Iterator[Action]:
        """End the wait: what the source has said is heard by the socket that took over."""
        self._patience = None
        # A client that has not opened a socket by now is not waited for again.
        self._waits_for_socket = bool(self.observer.open_sockets())
        self._let_step(self._stepwise)
        postponed, self._postponed = self._postponed, []
        for delay, level, step in postponed:
            at = self.observer.now + delay
            heapq.heappush(self._agenda, (at, next(self._serial), level, step))
        unheard, self._unheard = self._unheard, []
        for send in unheard:
            found = [self._socket_instead_of(socket) for socket in send.sockets]
            sockets = tuple(socket for socket in found if socket is not None)
            yield from self._outwards(len(self._operators) - 1, Send(sockets, send.message))

    def _socket_instead_of(self, placeholder: int) -> int | None:
        client_id = self._placeholders.get(placeholder)
        same = [one for one in self.observer.open_sockets() if self._goes_by(one) == client_id]
        return same[-1] if same else None

    def _goes_by(self, socket: int) -> str:
        return self.observer.sockets[socket]

    # --- time --------------------------------------------------------------------------------

    def _due(self, now: int) -> Iterator[Action]:
        while (at := self._next_time()) is not None and at <= now:
            self.observer.now = max(self.observer.now, at)
            if self._agenda and self._agenda[0][0] <= at:
                yield from self._take_up(heapq.heappop(self._agenda))
            else:
                _, _, source = heapq.heappop(self._wakes)
                yield from self._feed(source, Woke())

    def _take_up(self, entry: tuple[int, int, int, Step]) -> Iterator[Action]:
        _, _, level, step = entry
        if isinstance(step, HearAgain):
            yield from self._inwards(level, step.happened)
        elif isinstance(step, DoLater):
            yield from self._go_on(level, step.step)

    def _next_time(self) -> int | None:
        times = [self._agenda[0][0]] if self._agenda else []
        if self._wakes and not self.observer.held and self._patience is None:
            times.append(self._wakes[0][0])
        return min(times, default=None)

    def _wake_me(self) -> Iterator[Wake]:
        at = self._next_time()
        self._announced = {time for time in self._announced if time > self.observer.now}
        if at is not None and at not in self._announced:
            self._announced.add(at)
            yield Wake(at)

    # --- questions of our own -----------------------------------------------------------------

    def disclose(self, request: Request) -> Response | None:
        """What a client is answered, through all operators; for the end of a run.

        None where it gets no answer at once.
        """
        exchange = _OUR_EXCHANGES + next(self._serial)
        for action in list(self._inwards(0, RequestReceived(exchange, request))):
            if isinstance(action, Respond) and action.exchange == exchange:
                return action.answer
        return None

    def _ask(self, request: Request) -> Response | None:
        exchange = self.observer.other_user()
        found = None
        for action in self._base.handle(RequestReceived(exchange, request), self.observer.now):
            if isinstance(action, Wake):
                heapq.heappush(self._wakes, (action.at, next(self._serial), self._base))
            elif isinstance(action, Respond) and action.exchange == exchange:
                found = action.answer
        return found


def _is_for_nobody(action: Action) -> TypeGuard[Send]:
    return isinstance(action, Send) and all(socket < 0 for socket in action.sockets)


def _is_about_the_run(step: DoLater | HearAgain) -> TypeGuard[DoLater]:
    """Somebody else asks for something, or ends it: while the run waits, that waits as well."""
    if not isinstance(step, DoLater):
        return False
    asked = isinstance(step.step, RequestReceived) and step.step.exchange < 0
    return asked or isinstance(step.step, EndPrompts)


def _for_the_client(action: Action) -> Action | None:
    """The part of an action that concerns the shell; None when nothing of it does."""
    if isinstance(action, Send):
        # To nobody, it is still a moment that operators may wait for.
        outside = tuple(socket for socket in action.sockets if socket >= 0)
        return action if len(outside) == len(action.sockets) else Send(outside, action.message)
    if isinstance(action, Respond | RespondMore | HangUp):
        return action if action.exchange >= 0 else None
    socket = getattr(action, "socket", 0)
    return action if socket >= 0 else None
