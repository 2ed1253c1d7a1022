"""Operators on frames: drop, delay, repeat, reorder, change, add, glue, fragment, throttle.

Each function gives a fresh operator for one run. ``match`` says which frames it is about
(``kit.matchers``), ``after`` a frame that has to pass first, ``times`` how often it acts at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fake_server.scenarios.kit.matchers import FrameView, Match, Since, dump, framed
from fake_server.scenarios.kit.observer import MILLISECOND, Observer
from fake_server.scenarios.kit.operator import DoLater, Operator, Step, Tally
from fake_server.source import Accept, Action, Happened, Send, SendRaw

__all__ = [
    "coalesce",
    "delay",
    "drop",
    "duplicate",
    "flood",
    "fragment",
    "inject",
    "mutate",
    "per_frame",
    "reorder",
    "send_with_handshake",
    "throttle",
]

Messages = Sequence[str | bytes] | Callable[[FrameView, Observer], Sequence[str | bytes]]
"""What to inject: fixed messages, or made from the frame that set it off."""

FrameChange = Callable[[FrameView, Send, Observer], Iterable[Step] | None]
"""A frame on its way to the client -> what is done in its place; None lets it pass."""


def per_frame(tally: Tally, change: FrameChange) -> Operator:
    """An operator that looks at frames only."""

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        steps = None
        if isinstance(action, Send):
            steps = change(observer.frame(action.message), action, observer)
        if steps is None:
            yield action
            return
        tally.hit(reached=observer.reaches(action))
        yield from steps

    return Operator(tally, act=act, on_frames=True)


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
    tally, since = Tally(f"drop {name}", needed=needed), Since(after, nth)

    def change(frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        return () if since(frame) and not tally.spent(times) and match(frame) else None

    return per_frame(tally, change)


def delay(match: Match, name: str, *, ms: int, after: Match | None = None) -> Operator:
    """Frames that arrive later; what comes after them does not wait."""
    since = Since(after)

    def change(frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        fits = since(frame) and match(frame)
        return (DoLater(observer.now + ms * MILLISECOND, send),) if fits else None

    return per_frame(Tally(f"delay {name}"), change)


def duplicate(match: Match, name: str, *, n: int) -> Operator:
    """Frames that arrive ``n`` times."""

    def change(frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        return (send,) * n if match(frame) else None

    return per_frame(Tally(f"duplicate {name}"), change)


def reorder(early: Match, late: Match, name: str) -> Operator:
    """Frames that fit ``early`` arrive after the next frame that fits ``late``."""
    return per_frame(Tally(f"reorder {name}"), _Reordering(early, late).change)


class _Reordering:
    def __init__(self, early: Match, late: Match) -> None:
        self.early, self.late = early, late
        self.kept: list[Send] = []

    def change(self, frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        if self.early(frame):
            self.kept.append(send)
            return ()
        if self.kept and self.late(frame):
            kept, self.kept = self.kept, []
            return (send, *kept)
        return None


def mutate(
    match: Match,
    name: str,
    change: Callable[[dict[str, Any]], Any],
    *,
    times: int | None = None,
    needed: bool = True,
) -> Operator:
    """Events with other ``data``: ``change`` takes a copy and gives what is to be sent."""
    tally = Tally(f"mutate {name}", needed=needed)

    def patch(frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        if not match(frame) or tally.spent(times):
            return None
        data = json.loads(json.dumps(frame.data))
        return (Send(send.sockets, dump(frame.type, change(data))),)

    return per_frame(tally, patch)


def inject(
    messages: Messages,
    name: str,
    *,
    at: Match,
    before: bool = False,
    times: int | None = 1,
    every_ms: int = 0,
) -> Operator:
    """Messages that the source never sent, after (or ``before``) frames that fit ``at``.

    With ``every_ms`` they come one by one at that distance.
    """
    tally = Tally(f"inject {name}")

    def change(frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        if not at(frame) or tally.spent(times):
            return None
        found = messages(frame, observer) if callable(messages) else messages
        extra: list[Step] = [Send(send.sockets, message) for message in found]
        if every_ms:
            extra = [
                DoLater(observer.now + number * every_ms * MILLISECOND, Send(send.sockets, message))
                for number, message in enumerate(found, 1)
            ]
        return (*extra, send) if before else (send, *extra)

    return per_frame(tally, change)


def coalesce(match: Match, name: str) -> Operator:
    """Text frames that fit arrive glued to the next text frame, in one message."""
    tally = Tally(f"coalesce {name}")
    return Operator(tally, act=_Coalescing(tally, match).act, on_frames=True)


class _Coalescing:
    def __init__(self, tally: Tally, match: Match) -> None:
        self.tally, self.match = tally, match
        self.kept: dict[tuple[int, ...], str] = {}
        """By the sockets that it goes to: the text that waits for the next one."""

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        if not isinstance(action, Send) or not isinstance(action.message, str):
            yield action
            return
        first = self.kept.pop(action.sockets, None)
        if first is not None:
            self.tally.hit(reached=observer.reaches(action))
            yield Send(action.sockets, first + action.message)
        elif self.match(observer.frame(action.message)):
            self.kept[action.sockets] = action.message
        else:
            yield action


def fragment(match: Match, name: str, *, parts: int) -> Operator:
    """Messages in several WebSocket frames: a first one, continuations, a final one."""

    def change(frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        if not match(frame):
            return None
        data = framed(send.message, parts=parts)
        return [SendRaw(socket, data) for socket in send.sockets]

    return per_frame(Tally(f"fragment {name}"), change)


def send_with_handshake(name: str = "the first frames") -> Operator:
    """What is sent in the moment of the accept leaves in one TCP segment with the 101 answer."""
    tally = Tally(f"send {name} with the 101")
    handshakes = _Handshakes(tally)
    return Operator(tally, handshakes.hear, handshakes.act, on_frames=True)


class _Handshakes:
    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.waiting: dict[int, Accept] = {}
        """By socket: an accept that takes frames with it until the next thing happens."""

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        yield happened
        for accept in list(self.waiting.values()):
            yield self.waiting.pop(accept.socket)

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        if isinstance(action, Accept):
            self.waiting[action.socket] = action
            return
        if isinstance(action, Send) and len(action.sockets) == 1:
            accept = self.waiting.get(action.sockets[0])
            if accept is not None:
                self.tally.hit(reached=observer.reaches(action))
                first = accept.first + framed(action.message)
                self.waiting[accept.socket] = msgspec.structs.replace(accept, first=first)
                return
        yield action


def flood(
    name: str, message: str | bytes, *, at: Match, rate_hz: float, n: int, needed: bool = True
) -> Operator:
    """A message that comes again and again from some frame on, ``n`` times at that rate.

    The journal gets a note of its beginning, for the invariant about a client's memory.
    """
    tally = Tally(f"flood of {name}", needed=needed)

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        reached = observer.reaches(action)
        yield action
        if tally.spent(1) or not isinstance(action, Send) or not at(observer.frame(action.message)):
            return
        tally.hit(reached=reached)
        observer.note("flooded", action.sockets[0] if action.sockets else 0, name)
        for number in range(1, n + 1):
            yield DoLater(
                observer.now + int(number * 1_000_000 / rate_hz), Send(action.sockets, message)
            )

    return Operator(tally, act=act, on_frames=True)


def throttle(match: Match, name: str, *, least_ms: int, last: Match) -> Operator:
    """Frames that come too soon after the one before are left out, but never a ``last`` one."""
    throttled = _Throttled(match, last, least_ms * MILLISECOND)
    return per_frame(Tally(f"throttle {name}", needed=None), throttled.change)


class _Throttled:
    def __init__(self, match: Match, last: Match, least_us: int) -> None:
        self.match, self.last, self.least_us = match, last, least_us
        self.passed_us: int | None = None
        """When the last one passed."""

    def change(self, frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        if not self.match(frame):
            return None
        soon = self.passed_us is not None and observer.now < self.passed_us + self.least_us
        if soon and not self.last(frame):
            return ()
        self.passed_us = observer.now
        return None
