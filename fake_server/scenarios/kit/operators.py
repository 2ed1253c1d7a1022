"""Operators on frames and sockets: drop, delay, repeat, reorder, change, add, cut, stall, refuse.

Each function gives a fresh operator for one run. ``match`` says which frames it is about
(``kit.frames``), ``after`` a frame that has to pass first, ``times`` how often it acts at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any

import msgspec

from fake_server.scenarios.kit.matchers import Frame, Match, dump, framed, some_node
from fake_server.scenarios.kit.observer import MILLISECOND, Observer
from fake_server.scenarios.kit.routes import route, with_target
from fake_server.scenarios.kit.stage import Again, Later, Operator, Reset, Step, Tally
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Freeze,
    HangUp,
    Happened,
    Listen,
    MessageReceived,
    RealTimePassed,
    RequestReceived,
    Respond,
    Response,
    Send,
    SendRaw,
    UpgradeRequested,
    WaitRealTime,
    Woke,
)

__all__ = [
    "attempts",
    "coalesce",
    "crash",
    "cut",
    "delay",
    "drop",
    "duplicate",
    "evict",
    "flood",
    "fragment",
    "freeze",
    "gate",
    "hold",
    "inject",
    "knocks",
    "late_accept",
    "mutate",
    "reacts",
    "refusal",
    "refuse",
    "reorder",
    "reroute",
    "reword",
    "stall",
    "thin",
    "under_prefix",
    "with_the_handshake",
]

_tokens = count(1 << 48)
"""Of real-time waits: one for each operator, and far from what a replay counts its own by."""

Messages = Sequence[str | bytes] | Callable[[Frame, Observer], Sequence[str | bytes]]
"""What to inject: fixed messages, or made from the frame that set it off."""


class _Nth:
    """True once: at the ``nth`` frame that fits."""

    def __init__(self, match: Match, nth: int = 1) -> None:
        self._match, self._left = match, nth

    def __call__(self, frame: Frame) -> bool:
        if self._left > 0 and self._match(frame):
            self._left -= 1
            return self._left == 0
        return False


class _Since:
    """True behind the ``nth`` frame that fits, not yet for that one; always where none is named."""

    def __init__(self, match: Match | None, nth: int = 1) -> None:
        self._opens, self._open = _Nth(match, nth) if match else None, match is None

    def __call__(self, frame: Frame) -> bool:
        was_open = self._open
        if self._opens is not None and self._opens(frame):
            self._open = True
        return was_open


def _per_frame(
    tally: Tally,
    change: Callable[[Frame, Send, Observer], Iterable[Step] | None],
) -> Operator:
    """An operator that looks at frames only; ``change`` gives None to let one pass."""

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        steps = None
        if isinstance(action, Send):
            steps = change(scene.frame(action.message), action, scene)
        if steps is None:
            yield action
            return
        tally.hit()
        yield from steps

    return Operator(tally, act=act)


def drop(
    match: Match,
    name: str,
    *,
    after: Match | None = None,
    nth: int = 1,
    times: int | None = None,
    needed: bool | None = True,
) -> Operator:
    """Frames that never arrive."""
    tally, since = Tally(f"drop {name}", needed=needed), _Since(after, nth)

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        spent = times is not None and tally.matched >= times
        return () if since(frame) and not spent and match(frame) else None

    return _per_frame(tally, change)


def delay(match: Match, name: str, *, ms: int, after: Match | None = None) -> Operator:
    """Frames that arrive later; what comes behind them does not wait."""
    since = _Since(after)

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        fits = since(frame) and match(frame)
        return (Later(scene.now + ms * MILLISECOND, send),) if fits else None

    return _per_frame(Tally(f"delay {name}"), change)


def duplicate(match: Match, name: str, *, n: int) -> Operator:
    """Frames that arrive ``n`` times."""

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        return (send,) * n if match(frame) else None

    return _per_frame(Tally(f"duplicate {name}"), change)


def reorder(early: Match, late: Match, name: str) -> Operator:
    """Frames that fit ``early`` arrive behind the next frame that fits ``late``."""
    kept: list[Send] = []

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        if early(frame):
            kept.append(send)
            return ()
        if kept and late(frame):
            steps = (send, *kept)
            kept.clear()
            return steps
        return None

    return _per_frame(Tally(f"reorder {name}"), change)


def mutate(
    match: Match,
    name: str,
    change: Callable[[dict[str, Any]], Any],
    *,
    times: int | None = None,
    needed: bool = True,
) -> Operator:
    """Events whose ``data`` is another: ``change`` takes a copy and gives what is to be sent."""
    tally = Tally(f"mutate {name}", needed=needed)

    def patch(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        if not match(frame) or (times is not None and tally.matched >= times):
            return None
        data = json.loads(json.dumps(frame.data))
        return (Send(send.sockets, dump(frame.type, change(data))),)

    return _per_frame(tally, patch)


def inject(
    messages: Messages,
    name: str,
    *,
    at: Match,
    before: bool = False,
    times: int | None = 1,
    every_ms: int = 0,
) -> Operator:
    """Messages that the source never sent, behind (or ``before``) frames that fit ``at``.

    With ``every_ms`` they come one by one at that distance.
    """
    tally = Tally(f"inject {name}")

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        if not at(frame) or (times is not None and tally.matched >= times):
            return None
        found = messages(frame, scene) if callable(messages) else messages
        extra: list[Step] = [Send(send.sockets, message) for message in found]
        if every_ms:
            extra = [
                Later(
                    scene.now + (number + 1) * every_ms * MILLISECOND, Send(send.sockets, message)
                )
                for number, message in enumerate(found)
            ]
        return (*extra, send) if before else (send, *extra)

    return _per_frame(tally, change)


def coalesce(match: Match, name: str) -> Operator:
    """Text frames that fit arrive glued to the text frame behind them, in one message."""
    tally = Tally(f"coalesce {name}")
    kept: dict[tuple[int, ...], str] = {}

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        if not isinstance(action, Send) or not isinstance(action.message, str):
            yield action
            return
        first = kept.pop(action.sockets, None)
        if first is not None:
            tally.hit()
            yield Send(action.sockets, first + action.message)
        elif match(scene.frame(action.message)):
            kept[action.sockets] = action.message
        else:
            yield action

    return Operator(tally, act=act)


def fragment(match: Match, name: str, *, parts: int) -> Operator:
    """Messages in several WebSocket frames: a first one, continuations, a final one."""

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        if not match(frame):
            return None
        data = framed(send.message, parts=parts)
        return [SendRaw(socket, data) for socket in send.sockets]

    return _per_frame(Tally(f"fragment {name}"), change)


def with_the_handshake(name: str = "the first frames") -> Operator:
    """What is sent in the moment of the accept leaves in one TCP segment with the 101 answer."""
    tally = Tally(f"send {name} with the 101")
    waiting: dict[int, Accept] = {}

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        yield happened
        for accept in list(waiting.values()):
            yield waiting.pop(accept.socket)

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        if isinstance(action, Accept):
            waiting[action.socket] = action
        elif isinstance(action, Send) and len(action.sockets) == 1 and action.sockets[0] in waiting:
            tally.hit()
            accept = waiting[action.sockets[0]]
            first = accept.first + framed(action.message)
            waiting[accept.socket] = msgspec.structs.replace(accept, first=first)
        else:
            yield action

    return Operator(tally, hear, act)


# --- sockets ---------------------------------------------------------------------------------

_POLLS = route(
    "GET /history",
    "GET /history/{}",
    "GET /queue",
    "GET /prompt",
    "GET /api/jobs",
    "GET /api/jobs/{}",
)


def reacts(happened: Happened) -> bool:
    """The client does something about a silence: it connects anew, or asks how things stand."""
    if isinstance(happened, RequestReceived):
        return _POLLS(happened.request)
    return isinstance(happened, UpgradeRequested)


def cut(
    name: str, *, at: Match = some_node, nth: int = 1, code: int | None = None, after_ms: int = 0
) -> Operator:
    """The connection ends behind a frame, once; without a ``code`` it is a TCP abort."""
    tally, now_it_is = Tally(f"cut {name}"), _Nth(at, nth)

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if isinstance(action, Send) and now_it_is(scene.frame(action.message)):
            tally.hit()
            for socket in action.sockets:
                end = Abort(socket) if code is None else Close(socket, code)
                yield Later(scene.now + after_ms * MILLISECOND, end) if after_ms else end

    return Operator(tally, act=act)


def hold(
    name: str,
    *,
    at: Match = some_node,
    nth: int = 1,
    until: Callable[[Happened], bool] = reacts,
    after_ms: int = 0,
    gap_ms: int = 0,
    patience_ms: int = 0,
) -> Operator:
    """The source stands still behind a frame until the client does something.

    So a prompt is still running when a client comes back, at any speed, if a node takes any time at
    all (what a source says in one go is said). What the client did is answered first; ``gap_ms``
    later the source goes on. With ``patience_ms`` it also goes on after so much real time, for
    clients that rightly do nothing.
    """
    tally, now_it_is, patience = Tally(f"hold {name}"), _Nth(at, nth), _Patience(patience_ms)

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if isinstance(action, Send) and now_it_is(scene.frame(action.message)):
            if after_ms:
                yield Again(scene.now + after_ms * MILLISECOND, Woke())
            else:
                tally.hit()
                scene.held = True
                yield from patience.begin()

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, Woke):
            scene.held = not tally.matched
            tally.hit()
            return
        if patience.over(happened):
            yield Again(scene.now, Woke())
            return
        yield happened
        if scene.held and until(happened):
            yield Again(scene.now + gap_ms * MILLISECOND, Woke())

    return Operator(tally, hear, act)


def stall(
    name: str,
    *,
    at: Match,
    nth: int = 1,
    for_ms: int,
    until: Callable[[Happened], bool] | None = None,
    patience_ms: int = 0,
) -> Operator:
    """Behind a frame nothing arrives for a while; then all of it, in one burst.

    With ``until`` it also lasts until the client does something, or has had ``patience_ms`` of real
    time for it: so it is met at any speed.
    """
    tally, since, patience = Tally(f"stall {name}"), _Since(at, nth), _Patience(patience_ms)
    kept: list[Action] = []
    waits_for = {"time", "client"} if until else {"time"}

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        if not waits_for or not isinstance(action, Send) or not since(scene.frame(action.message)):
            yield action
            return
        if not kept:
            tally.hit()
            yield Again(scene.now + for_ms * MILLISECOND, Woke())
            yield from patience.begin()
        kept.append(action)

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, Woke):
            waits_for.discard("time")
        elif patience.over(happened):
            waits_for.discard("client")
        else:
            yield happened
            if kept and until is not None and until(happened):
                waits_for.discard("client")
        if kept and not waits_for:
            yield from kept
            kept.clear()

    return Operator(tally, hear, act)


class _Patience:
    """How long a client has, in real time, to do something; 0 is for ever."""

    def __init__(self, ms: int) -> None:
        self._real_us = ms * MILLISECOND
        self._token = next(_tokens)

    def begin(self) -> Iterator[Step]:
        if self._real_us:
            yield WaitRealTime(self._token, self._real_us)

    def over(self, happened: Happened) -> bool:
        return isinstance(happened, RealTimePassed) and happened.token == self._token


def evict(name: str, *, connection: int, frames: int = 1) -> Operator:
    """One of the client's sockets (counted from 1) gets its first frames and then nothing."""
    tally = Tally(f"evict {name}", needed=False)
    order: list[int] = []
    seen: dict[int, int] = {}

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        order.extend(socket for socket in send.sockets if socket not in order)
        lost = order[connection - 1] if len(order) >= connection else None
        if lost not in send.sockets:
            return None
        seen[lost] = seen.get(lost, 0) + 1
        if seen[lost] <= frames:
            return None
        others = tuple(socket for socket in send.sockets if socket != lost)
        return (Send(others, send.message),) if others else ()

    return _per_frame(tally, change)


def freeze(name: str, *, at: Match = some_node, nth: int = 1) -> Operator:
    """The connection is half open behind a frame: nothing comes, nothing is read, no FIN."""
    tally, now_it_is = Tally(f"freeze {name}"), _Nth(at, nth)

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if isinstance(action, Send) and now_it_is(scene.frame(action.message)):
            tally.hit()
            for socket in action.sockets:
                scene.cut.add(socket)
                yield Freeze(socket)

    return Operator(tally, act=act)


def refuse(
    name: str,
    *,
    n: int,
    how: int | str = "hang-up",
    skip: int = 0,
    fits: Callable[[Happened], bool],
    least_ms: int = 0,
    needed: bool = True,
) -> Operator:
    """Attempts that fail: ``n`` of them, and all within the first ``least_ms``.

    Args:
        how: an HTTP status, ``hang-up`` (the connection is cut), or ``close`` (a socket is accepted
            and closed at once).
        skip: so many attempts succeed first.
        fits: what counts as an attempt.
    """
    tally, tried = Tally(f"refuse {name}", needed=needed), [0]

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if not isinstance(happened, UpgradeRequested | RequestReceived) or not fits(happened):
            if not isinstance(happened, Woke):  # an alarm of our own: only time had to get there
                yield happened
            return
        tried[0] += 1
        again = tally.matched < n or scene.now < least_ms * MILLISECOND
        if tried[0] <= skip or not again:
            yield happened
            return
        tally.hit()
        yield from refusal(happened, how)
        yield Again(least_ms * MILLISECOND, Woke())

    return Operator(tally, hear)


def refusal(happened: UpgradeRequested | RequestReceived, how: int | str) -> Iterator[Step]:
    """The ways to turn a request away; ``close`` can only be done to a socket."""
    number = _number(happened)
    if isinstance(how, int):
        text = (("Content-Type", "text/plain; charset=utf-8"),)
        yield Respond(number, Response(how, text, f"{how}: refused".encode()))
    elif how == "close" and isinstance(happened, UpgradeRequested):
        yield Accept(number)
        yield Close(number, 1013)
    else:
        yield HangUp(number)


def gate(
    name: str, closed: Callable[[Happened], bool], reply: Response, *, needed: bool = True
) -> Operator:
    """Requests and upgrades for which it is closed get this answer, always."""
    tally = Tally(f"refuse {name}", needed=needed)

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, UpgradeRequested | RequestReceived) and closed(happened):
            tally.hit()
            yield Respond(_number(happened), reply)
        else:
            yield happened

    return Operator(tally, hear)


def _number(happened: UpgradeRequested | RequestReceived) -> int:
    return happened.socket if isinstance(happened, UpgradeRequested) else happened.exchange


def under_prefix(prefix: str) -> Operator:
    """Everything lives under a path; outside of it there is nothing."""
    tally = Tally(f"take off {prefix}", needed=False)

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if not isinstance(happened, UpgradeRequested | RequestReceived):
            yield happened
            return
        request = happened.request
        tally.hit()
        if not request.target.startswith(prefix):
            yield Respond(_number(happened), Response(404))
            return
        inner = with_target(request, request.target[len(prefix) - 1 :])
        yield msgspec.structs.replace(happened, request=inner)

    return Operator(tally, hear)


def knocks(happened: Happened) -> bool:
    """A WebSocket upgrade."""
    return isinstance(happened, UpgradeRequested)


def attempts(happened: Happened) -> bool:
    """Any request or upgrade."""
    return isinstance(happened, UpgradeRequested | RequestReceived)


def crash(
    name: str,
    *,
    at: Match,
    instead: bool = False,
    back_ms: int | None = None,
    forget: bool = True,
) -> Operator:
    """The server process dies behind a frame: connections break, new ones are refused.

    Args:
        instead: the frame itself is never sent.
        back_ms: so much later a fresh process listens on the same port; None: never.
        forget: the new process knows neither queue nor history; else only the prompt is lost.
    """
    tally, down = Tally(f"crash {name}"), [False]

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        dies = not tally.matched and isinstance(action, Send) and at(scene.frame(action.message))
        if not (dies and instead):
            yield action
        if not dies:
            return
        tally.hit()
        down[0] = scene.held = True
        scene.end("lost")
        yield from (Abort(socket) for socket in list(scene.sockets))
        yield from (HangUp(number) for number in list(scene.exchanges) if number >= 0)
        yield Listen(False)
        if back_ms is not None:
            yield Again(scene.now + back_ms * MILLISECOND, Woke())

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, Woke):
            down[0] = scene.held = False
            if forget:
                yield Reset()
            yield Listen(True)
        elif not down[0]:
            yield happened
        elif isinstance(happened, UpgradeRequested | RequestReceived):
            # A connection that was open, or taken before the port was closed.
            yield from refusal(happened, "hang-up")

    return Operator(tally, hear, act)


def flood(
    name: str, message: str | bytes, *, at: Match, rate_hz: float, n: int, needed: bool = True
) -> Operator:
    """A message that comes again and again from some frame on, ``n`` times at that rate.

    The journal gets a note of its beginning, for the oracle that looks at a client's memory.
    """
    tally = Tally(f"flood of {name}", needed=needed)

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        yield action
        if not tally.matched and isinstance(action, Send) and at(scene.frame(action.message)):
            tally.hit()
            scene.note("flooded", action.sockets[0] if action.sockets else 0, name)
            for number in range(n):
                when = scene.now + int((number + 1) * 1_000_000 / rate_hz)
                yield Later(when, Send(action.sockets, message))

    return Operator(tally, act=act)


def thin(match: Match, name: str, *, least_ms: int, last: Match) -> Operator:
    """Frames that come too soon behind the one before are left out, but never a ``last`` one."""
    before: list[int] = []

    def change(frame: Frame, send: Send, scene: Observer) -> Iterable[Step] | None:
        if not match(frame):
            return None
        if last(frame) or not before or scene.now - before[-1] >= least_ms * MILLISECOND:
            before.append(scene.now)
            return None
        return ()

    return _per_frame(Tally(f"thin out {name}", needed=None), change)


def reword(name: str, change: Callable[[MessageReceived, Observer], Iterable[Step]]) -> Operator:
    """What a client says on its socket reaches the source as something else, or not at all."""
    tally = Tally(f"reword {name}", needed=False)

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if not isinstance(happened, MessageReceived):
            yield happened
            return
        tally.hit()
        yield from change(happened, scene)

    return Operator(tally, hear)


def late_accept(name: str, *, ms: int) -> Operator:
    """Upgrades that are answered so much later, with what was sent to them meanwhile."""
    tally = Tally(f"delay {name}")
    until: dict[int, int] = {}

    def act(action: Action, scene: Observer) -> Iterator[Step]:
        if isinstance(action, Accept):
            tally.hit()
            until[action.socket] = scene.now + ms * MILLISECOND
            yield Later(until[action.socket], action)
        elif isinstance(action, Send) and not until.keys().isdisjoint(action.sockets):
            yield from (_when(until.get(one, 0), Send((one,), action.message), scene)
                        for one in action.sockets)  # fmt: skip
        else:
            yield action

    return Operator(tally, act=act)


def _when(at: int, action: Action, scene: Observer) -> Step:
    return Later(at, action) if at > scene.now else action


def reroute(
    name: str, change: Callable[[UpgradeRequested, Observer], UpgradeRequested]
) -> Operator:
    """A WebSocket upgrade reaches the source as another."""
    tally = Tally(f"reroute {name}")

    def hear(happened: Happened, scene: Observer) -> Iterator[Step]:
        if isinstance(happened, UpgradeRequested):
            tally.hit()
            happened = change(happened, scene)
        yield happened

    return Operator(tally, hear)
