"""source + operators -> source. Everything that passes, in either direction, passes each operator.

The operators stand in a row, the first one nearest to the client. What happened goes through them
inwards to the source, what shall happen comes back outwards. An operator may let pass, change,
hold back, drop or add, on both ways; the stage keeps the agenda of what was held back.

After the last input, ``finish`` says which operators never had anything to do.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final
from urllib.parse import quote

import msgspec

from fake_server.scenarios.kit.observer import Ending, Observer
from fake_server.scenarios.kit.routes import posts, read_json
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
    Response,
    Send,
    Source,
    UpgradeRequested,
    Wake,
    Woke,
)

__all__ = ["Again", "Complaint", "Ends", "Later", "Operator", "Reset", "Stage", "Step", "Tally"]

_OUR_EXCHANGES: Final = 1 << 48
"""Far beyond what a shell counts up to."""

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


class Later(msgspec.Struct, frozen=True):
    """Go on with a step at a later time, from the operator that said so."""

    at: int
    step: Action | Happened | Ends


class Again(msgspec.Struct, frozen=True):
    """Show what happened to the same operator once more at a later time."""

    at: int
    happened: Happened


class Reset(msgspec.Struct, frozen=True):
    """The source is gone and a fresh one stands in its place: a process that was started anew."""


class Ends(msgspec.Struct, frozen=True):
    """The client's prompts are over in truth, though no frame and no history says so."""

    ending: Ending


Step = Action | Happened | Later | Again | Reset | Ends


class Tally:
    """What an operator is called, and how often it had something to do.

    ``needed``: True, it must have; False, a client may never come there; None, it is only there
    for sources that do not do it by themselves.
    """

    def __init__(self, name: str, *, needed: bool | None = True) -> None:
        self.name, self.needed, self.matched = name, needed, 0

    def hit(self) -> None:
        """It had something to do."""
        self.matched += 1


class Operator(msgspec.Struct, eq=False):
    """One change of the stream. Build a fresh one for each run: its functions keep state."""

    tally: Tally
    hear: Callable[[Happened, Observer], Iterable[Step]] | None = None
    act: Callable[[Action, Observer], Iterable[Step]] | None = None


class Complaint(msgspec.Struct, frozen=True):
    """An operator that matched nothing. ``needed`` false: the client just never asked for it."""

    operator: str
    needed: bool

    def __str__(self) -> str:
        if self.needed:
            return f"the operator '{self.operator}' matched nothing that was sent or asked"
        return f"the client never came to '{self.operator}'"


class Stage:
    """A source under operators, itself a source.

    Args:
        make: gives a fresh source; called once now and once for each ``Reset``.
        operators: fresh ones, the first nearest to the client.
        seed: where all chance of the operators comes from.
        split: sockets go to a second source of their own, as behind a careless load balancer.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        operators: Sequence[Operator] = (),
        *,
        seed: int = 0,
        split: bool = False,
    ) -> None:
        self.scene = Observer(seed=seed, ask=self._ask)
        self._make, self._split = make, split
        self._operators = tuple(operators)
        self._agenda: list[tuple[int, int, int, Step]] = []
        self._serial = count()
        self._announced: set[int] = set()
        self._awaited: set[int] = set()
        self._raise_curtain()

    def _raise_curtain(self) -> None:
        self._base = self._make()
        self._wings = self._make() if self._split else self._base
        self._wakes: list[tuple[int, int, Source]] = []

    # --- the source protocol -----------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Take what happened at ``now`` and say what shall happen, in order."""
        scene = self.scene
        scene.now = max(scene.now, now)
        yield from self._due(now)
        scene.now = now
        if not isinstance(happened, Woke):
            scene.heard(happened)
            yield from self._inwards(0, happened)
            yield from self._due(now)
        scene.notice_quiet_ends()
        yield from self._wake_me()

    def facts(self) -> Mapping[str, Any]:
        """The source's facts, and what the operators have done so far."""
        done = {op.tally.name: op.tally.matched for op in self._operators}
        return {**self._base.facts(), "operators": done}

    @property
    def base(self) -> Source:
        """The source behind the operators, as it is now."""
        return self._base

    def finish(self) -> list[Complaint]:
        """Say which operators matched nothing, at the end of a scenario.

        Those that wait for something a client may well leave undone are only named when none of
        the operators had anything to do.
        """
        idle = [op.tally for op in self._operators if op.tally.matched == 0]
        nothing_at_all = len(idle) == len(self._operators)
        return [
            Complaint(one.name, one.needed)
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
        for step in hear(happened, self.scene):
            yield from self._go_on(level, step)

    def _outwards(self, level: int, action: Action) -> Iterator[Action]:
        if level < 0:
            action_seen = self._not_to_the_dead(action)
            if action_seen is not None:
                self.scene.shown(action_seen)
                yield action_seen
            return
        act = self._operators[level].act
        if act is None:
            yield from self._outwards(level - 1, action)
            return
        for step in act(action, self.scene):
            yield from self._go_on(level, step)

    def _go_on(self, level: int, step: Step) -> Iterator[Action]:
        if isinstance(step, Later | Again):
            heapq.heappush(self._agenda, (step.at, next(self._serial), level, step))
        elif isinstance(step, Reset):
            self._raise_curtain()
        elif isinstance(step, Ends):
            self.scene.end(step.ending)
        elif isinstance(step, _HAPPENED):
            self.scene.overheard(step)
            yield from self._inwards(level + 1, step)
        else:
            yield from self._outwards(level - 1, step)

    def _play(self, happened: Happened) -> Iterator[Action]:
        self.scene.told(happened)
        if (
            isinstance(happened, RequestReceived)
            and happened.exchange >= 0
            and posts(happened.request)
        ):
            yield from self._send_an_understudy(happened.request)
        on_a_socket = isinstance(happened, UpgradeRequested | MessageReceived | Disconnected)
        yield from self._feed(self._wings if on_a_socket else self._base, happened)

    def _feed(self, source: Source, happened: Happened) -> Iterator[Action]:
        for action in source.handle(happened, self.scene.now):
            if isinstance(action, Wake):
                heapq.heappush(self._wakes, (action.at, next(self._serial), source))
                continue
            self.scene.said(action)
            outside = _without_our_people(action)
            if outside is not None:
                yield from self._outwards(len(self._operators) - 1, outside)

    def _not_to_the_dead(self, action: Action) -> Action | None:
        if not isinstance(action, Send):
            return action
        # An operator cut some of these sockets; the source has not been told yet.
        alive = tuple(socket for socket in action.sockets if socket not in self.scene.cut)
        return Send(alive, action.message) if alive else None

    def _send_an_understudy(self, request: Request) -> Iterator[Action]:
        # A server says nothing of a prompt whose client has no socket, and operators wait for a
        # moment in what it says. So somebody listens in the place of a client that does not; if it
        # connects later, its own socket takes over (PROTOCOL.md section 3).
        body = read_json(request.body)
        client_id = body.get("client_id") if isinstance(body, dict) else None
        if isinstance(client_id, str) and client_id not in self.scene.sockets.values():
            target = f"/ws?clientId={quote(client_id, safe='')}"
            knocked = UpgradeRequested(self.scene.person(), Request("GET", target, _UPGRADE))
            yield from self._feed(self._wings, knocked)

    # --- time --------------------------------------------------------------------------------

    def _due(self, now: int) -> Iterator[Action]:
        while (at := self._next_time()) is not None and at <= now:
            self.scene.now = max(self.scene.now, at)
            if self._agenda and self._agenda[0][0] <= at:
                yield from self._take_up(heapq.heappop(self._agenda))
            else:
                _, _, source = heapq.heappop(self._wakes)
                yield from self._feed(source, Woke())

    def _take_up(self, entry: tuple[int, int, int, Step]) -> Iterator[Action]:
        _, _, level, step = entry
        if isinstance(step, Again):
            yield from self._inwards(level, step.happened)
        elif isinstance(step, Later):
            yield from self._go_on(level, step.step)

    def _next_time(self) -> int | None:
        times = [self._agenda[0][0]] if self._agenda else []
        if self._wakes and not self.scene.held:
            times.append(self._wakes[0][0])
        return min(times, default=None)

    def _wake_me(self) -> Iterator[Wake]:
        at = self._next_time()
        self._announced = {time for time in self._announced if time > self.scene.now}
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
        exchange = self.scene.person()
        found = None
        for action in self._base.handle(RequestReceived(exchange, request), self.scene.now):
            if isinstance(action, Wake):
                heapq.heappush(self._wakes, (action.at, next(self._serial), self._base))
            elif isinstance(action, Respond) and action.exchange == exchange:
                found = action.answer
        return found


def _without_our_people(action: Action) -> Action | None:
    """The part of an action that concerns the shell; None when nothing of it does."""
    if isinstance(action, Send):
        # To nobody, it is still a moment that operators may wait for.
        outside = tuple(socket for socket in action.sockets if socket >= 0)
        return action if len(outside) == len(action.sockets) else Send(outside, action.message)
    if isinstance(action, Respond | HangUp):
        return action if action.exchange >= 0 else None
    socket = getattr(action, "socket", 0)
    return action if socket >= 0 else None
