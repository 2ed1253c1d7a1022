"""Operators on connecting: attempts that are refused, denied, delayed, or changed.

Each function gives a fresh operator for one run. ``fits`` and ``denied`` say which requests and
upgrades it is about; ``is_upgrade`` and ``is_request_or_upgrade`` are ready-made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from fake_server.scenarios.kit.observer import MILLISECOND, Observer
from fake_server.scenarios.kit.operator import (
    DoLater,
    HearAgain,
    Operator,
    Step,
    Tally,
)
from fake_server.source import (
    Accept,
    Action,
    Close,
    HangUp,
    Happened,
    MessageReceived,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Woke,
)

__all__ = [
    "change_message",
    "change_upgrade",
    "delay_upgrade",
    "deny",
    "is_request_or_upgrade",
    "is_upgrade",
    "refusal",
    "refuse",
    "under_prefix",
]


def is_upgrade(happened: Happened) -> bool:
    """A WebSocket upgrade."""
    return isinstance(happened, UpgradeRequested)


def is_request_or_upgrade(happened: Happened) -> bool:
    """Any request or upgrade."""
    return isinstance(happened, UpgradeRequested | RequestReceived)


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
    tally = Tally(f"refuse {name}", needed=needed)
    return Operator(tally, _Refusals(tally, n, how, skip, fits, least_ms * MILLISECOND).hear)


class _Refusals:
    def __init__(
        self,
        tally: Tally,
        n: int,
        how: int | str,
        skip: int,
        fits: Callable[[Happened], bool],
        least_us: int,
    ) -> None:
        self.tally, self.n, self.how, self.fits, self.least_us = tally, n, how, fits, least_us
        self.skip = skip
        """How many attempts still succeed."""

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if not isinstance(happened, UpgradeRequested | RequestReceived) or not self.fits(happened):
            if not isinstance(happened, Woke):  # an alarm of our own: only time had to get there
                yield happened
        elif self.is_let_in(observer):
            yield happened
        else:
            self.tally.hit()
            yield from refusal(happened, self.how)
            yield HearAgain(self.least_us, Woke())

    def is_let_in(self, observer: Observer) -> bool:
        if self.skip:
            self.skip -= 1
            return True
        return self.tally.spent(self.n) and observer.now >= self.least_us


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


def deny(
    name: str, denied: Callable[[Happened], bool], response: Response, *, needed: bool = True
) -> Operator:
    """Requests and upgrades that fit get this response, always."""
    tally = Tally(f"deny {name}", needed=needed)

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, UpgradeRequested | RequestReceived) and denied(happened):
            tally.hit()
            yield Respond(_number(happened), response)
        else:
            yield happened

    return Operator(tally, hear)


def _number(happened: UpgradeRequested | RequestReceived) -> int:
    return happened.socket if isinstance(happened, UpgradeRequested) else happened.exchange


def under_prefix(prefix: str) -> Operator:
    """Everything lives under a path; outside of it there is nothing."""
    tally = Tally(f"take off {prefix}", needed=False)

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if not isinstance(happened, UpgradeRequested | RequestReceived):
            yield happened
            return
        tally.hit()
        inner = happened.request.below(prefix)
        if inner is None:
            yield Respond(_number(happened), Response(404))
            return
        yield msgspec.structs.replace(happened, request=inner)

    return Operator(tally, hear)


def delay_upgrade(name: str, *, ms: int) -> Operator:
    """Upgrades that are answered so much later, with what was sent to them meanwhile."""
    tally = Tally(f"delay {name}")
    return Operator(tally, act=_DelayedUpgrades(tally, ms * MILLISECOND).act)


class _DelayedUpgrades:
    def __init__(self, tally: Tally, delay_us: int) -> None:
        self.tally, self.delay_us = tally, delay_us
        self.open_at: dict[int, int] = {}
        """By socket: when its upgrade is answered."""

    def act(self, action: Action, observer: Observer) -> Iterator[Step]:
        if isinstance(action, Accept):
            self.tally.hit()
            self.open_at[action.socket] = observer.now + self.delay_us
            yield DoLater(self.open_at[action.socket], action)
        elif isinstance(action, Send) and not self.open_at.keys().isdisjoint(action.sockets):
            for socket in action.sockets:
                send, at = Send((socket,), action.message), self.open_at.get(socket, 0)
                yield DoLater(at, send) if at > observer.now else send
        else:
            yield action


def change_upgrade(
    name: str, change: Callable[[UpgradeRequested, Observer], UpgradeRequested]
) -> Operator:
    """A WebSocket upgrade reaches the source as another."""
    tally = Tally(f"change {name}")

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, UpgradeRequested):
            tally.hit()
            happened = change(happened, observer)
        yield happened

    return Operator(tally, hear, on_frames=True)


def change_message(
    name: str, change: Callable[[MessageReceived, Observer], Iterable[Step]]
) -> Operator:
    """What a client says on its socket reaches the source as something else, or not at all."""
    tally = Tally(f"change {name}", needed=False)

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if not isinstance(happened, MessageReceived):
            yield happened
            return
        tally.hit()
        yield from change(happened, observer)

    return Operator(tally, hear, on_frames=True)
