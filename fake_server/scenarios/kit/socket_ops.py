"""Operators on open connections: cut, hold, stall, freeze, mute, and the death of the server.

Each function gives a fresh operator for one run. ``at`` says which frame sets it off
(``kit.matchers``), ``nth`` which of those that fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from comfyrec.http.routes import shows_state
from fake_server.scenarios.kit.connect_ops import refusal
from fake_server.scenarios.kit.frames_ops import per_frame
from fake_server.scenarios.kit.matchers import FrameView, Match, Nth, Since, some_node
from fake_server.scenarios.kit.observer import MILLISECOND, Observer
from fake_server.scenarios.kit.operator import (
    DoLater,
    HearAgain,
    Operator,
    RestartSource,
    Step,
    Tally,
)
from fake_server.source import (
    Abort,
    Action,
    Close,
    Freeze,
    HangUp,
    Happened,
    Listen,
    RealTimePassed,
    RequestReceived,
    Send,
    UpgradeRequested,
    WaitRealTime,
    Woke,
)

__all__ = ["crash", "cut", "freeze", "hold", "is_poll_or_upgrade", "mute_socket", "stall"]


def is_poll_or_upgrade(happened: Happened) -> bool:
    """The client does something about a silence: it connects again, or asks how things stand."""
    if isinstance(happened, RequestReceived):
        return shows_state(happened.request.method, happened.request.parts)
    return isinstance(happened, UpgradeRequested)


def cut(
    name: str, *, at: Match = some_node, nth: int = 1, code: int | None = None, after_ms: int = 0
) -> Operator:
    """The connection ends after a frame, once; without a ``code`` it is a TCP abort."""
    tally, now_it_is = Tally(f"cut {name}"), Nth(at, nth)

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        reached = observer.reaches(action)
        yield action
        if isinstance(action, Send) and now_it_is(observer.frame(action.message)):
            tally.hit(reached=reached)
            for socket in action.sockets:
                end = Abort(socket) if code is None else Close(socket, code)
                yield DoLater(observer.now + after_ms * MILLISECOND, end) if after_ms else end

    return Operator(tally, act=act, on_frames=True)


class _Patience:
    """How long a client has, in real time, to do something; 0 is for ever."""

    def __init__(self, ms: int) -> None:
        self.real_us = ms * MILLISECOND
        self.token: int | None = None

    def begin(self, observer: Observer) -> Iterator[Step]:
        if self.real_us:
            self.token = observer.token()
            yield WaitRealTime(self.token, self.real_us)

    def is_over(self, happened: Happened) -> bool:
        return isinstance(happened, RealTimePassed) and happened.token == self.token


def hold(
    name: str,
    *,
    at: Match = some_node,
    nth: int = 1,
    until: Callable[[Happened], bool] = is_poll_or_upgrade,
    after_ms: int = 0,
    gap_ms: int = 0,
    patience_ms: int = 0,
) -> Operator:
    """The source stands still after a frame until the client does something.

    So a prompt is still running when a client comes back, at any speed, if a node takes any time at
    all (what a source says in one go is said). What the client did is answered first; ``gap_ms``
    later the source goes on. With ``patience_ms`` it also goes on after so much real time, for
    clients that rightly do nothing.
    """
    # With patience it is only there so that a client can meet something else.
    tally = Tally(f"hold {name}", needed=None if patience_ms else True)
    held = _Hold(tally, Nth(at, nth), until, after_ms, gap_ms, _Patience(patience_ms))
    return Operator(tally, held.hear, held.act, on_frames=True)


class _Hold:
    def __init__(
        self,
        tally: Tally,
        now_it_is: Nth,
        until: Callable[[Happened], bool],
        after_ms: int,
        gap_ms: int,
        patience: _Patience,
    ) -> None:
        self.tally, self.now_it_is, self.until = tally, now_it_is, until
        self.after_us, self.gap_us = after_ms * MILLISECOND, gap_ms * MILLISECOND
        self.patience = patience
        self.is_felt = False
        """The frame that set it off went to the client under test."""

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        reached = observer.reaches(action)
        yield action
        if not isinstance(action, Send) or not self.now_it_is(observer.frame(action.message)):
            return
        self.is_felt = reached
        if self.after_us:
            yield HearAgain(observer.now + self.after_us, Woke())
            return
        self.tally.hit(reached=self.is_felt)
        observer.held = True
        yield from self.patience.begin(observer)

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, Woke):
            # Its first alarm begins a hold with ``after_ms``, every other one ends it.
            observer.held = not self.tally.matched
            self.tally.hit(reached=self.is_felt)
        elif self.patience.is_over(happened):
            yield HearAgain(observer.now, Woke())
        else:
            yield happened
            if observer.held and self.until(happened):
                yield HearAgain(observer.now + self.gap_us, Woke())


def stall(
    name: str,
    *,
    at: Match,
    nth: int = 1,
    for_ms: int,
    until: Callable[[Happened], bool] | None = None,
    patience_ms: int = 0,
) -> Operator:
    """After a frame nothing arrives for a while; then all of it, in one burst.

    With ``until`` it also lasts until the client does something, or has had ``patience_ms`` of real
    time for it: so it is met at any speed.
    """
    tally = Tally(f"stall {name}")
    stalled = _Stall(tally, Since(at, nth), for_ms * MILLISECOND, until, _Patience(patience_ms))
    return Operator(tally, stalled.hear, stalled.act, on_frames=True)


class _Stall:
    def __init__(
        self,
        tally: Tally,
        since: Since,
        for_us: int,
        until: Callable[[Happened], bool] | None,
        patience: _Patience,
    ) -> None:
        self.tally, self.since, self.for_us = tally, since, for_us
        self.until, self.patience = until, patience
        self.kept: list[Action] = []
        self.waits_for_time, self.waits_for_client = True, until is not None

    @property
    def is_over(self) -> bool:
        return not self.waits_for_time and not self.waits_for_client

    def passed(self, send: Send, observer: Observer) -> bool:
        return self.since(observer.frame(send.message))

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        if self.is_over or not isinstance(action, Send) or not self.passed(action, observer):
            yield action
            return
        if not self.kept:
            self.tally.hit(reached=observer.reaches(action))
            yield HearAgain(observer.now + self.for_us, Woke())
            yield from self.patience.begin(observer)
        self.kept.append(action)

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, Woke):
            self.waits_for_time = False
        elif self.patience.is_over(happened):
            self.waits_for_client = False
        else:
            yield happened
            if self.kept and self.until is not None and self.until(happened):
                self.waits_for_client = False
        if self.kept and self.is_over:
            kept, self.kept = self.kept, []
            yield from kept


def mute_socket(name: str, *, connection: int, frames: int = 1) -> Operator:
    """One of the client's sockets (counted from 1) gets its first frames and then nothing."""
    muted = _Mute(connection, frames)
    return per_frame(Tally(f"mute {name}", needed=False), muted.change)


class _Mute:
    def __init__(self, connection: int, frames: int) -> None:
        self.connection, self.frames = connection, frames
        self.sockets: list[int] = []
        """In the order of their first frames."""
        self.had = 0
        """How many frames the muted one has had."""

    def change(self, frame: FrameView, send: Send, observer: Observer) -> Iterable[Step] | None:
        self.sockets += [socket for socket in send.sockets if socket not in self.sockets]
        if len(self.sockets) < self.connection:
            return None
        muted = self.sockets[self.connection - 1]
        if muted not in send.sockets:
            return None
        self.had += 1
        if self.had <= self.frames:
            return None
        others = tuple(socket for socket in send.sockets if socket != muted)
        return (Send(others, send.message),) if others else ()


def freeze(name: str, *, at: Match = some_node, nth: int = 1) -> Operator:
    """The connection is half open after a frame: nothing comes, nothing is read, no FIN."""
    tally, now_it_is = Tally(f"freeze {name}"), Nth(at, nth)

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        reached = observer.reaches(action)
        yield action
        if isinstance(action, Send) and now_it_is(observer.frame(action.message)):
            tally.hit(reached=reached)
            for socket in action.sockets:
                observer.cut.add(socket)
                yield Freeze(socket)

    return Operator(tally, act=act, on_frames=True)


def crash(
    name: str,
    *,
    at: Match,
    instead: bool = False,
    back_ms: int | None = None,
    forget: bool = True,
) -> Operator:
    """The server process dies after a frame: connections break, new ones are refused.

    Args:
        instead: the frame itself is never sent.
        back_ms: so much later a fresh process listens on the same port; None: never.
        forget: the new process knows neither queue nor history; else only the prompt is lost.
    """
    tally = Tally(f"crash {name}")
    crashed = _Crash(tally, at, instead, back_ms, forget)
    return Operator(tally, crashed.hear, crashed.act, on_frames=True)


class _Crash:
    def __init__(
        self, tally: Tally, at: Match, instead: bool, back_ms: int | None, forget: bool
    ) -> None:
        self.tally, self.at = tally, at
        self.instead, self.back_ms, self.forget = instead, back_ms, forget
        self.is_down = False

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        dies = (
            not self.tally.spent(1)
            and isinstance(action, Send)
            and self.at(observer.frame(action.message))
        )
        if not (dies and self.instead):
            yield action
        if not dies:
            return
        self.tally.hit()
        self.is_down = observer.held = True
        observer.end("lost")
        yield from (Abort(socket) for socket in list(observer.sockets))
        yield from (HangUp(number) for number in list(observer.exchanges) if number >= 0)
        yield Listen(False)
        if self.back_ms is not None:
            yield HearAgain(observer.now + self.back_ms * MILLISECOND, Woke())

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, Woke):
            self.is_down = observer.held = False
            if self.forget:
                yield RestartSource()
            yield Listen(True)
        elif not self.is_down:
            yield happened
        elif isinstance(happened, UpgradeRequested | RequestReceived):
            # A connection that was open, or taken before the port was closed.
            yield from refusal(happened, "hang-up")
