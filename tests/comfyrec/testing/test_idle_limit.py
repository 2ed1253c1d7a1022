"""When a wait is ended: after the limit, only if a client is stuck, once, and not after ``end``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from comfyrec.testing import idle_limit
from comfyrec.testing.idle_limit import IdleWatch


class Loop(asyncio.AbstractEventLoop):
    """A loop whose time moves by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_soon_threadsafe(self, callback, *args, context=None):  # type: ignore[no-untyped-def]
        callback(*args)

    def call_later(self, delay, callback, *args, context=None):  # type: ignore[no-untyped-def]
        entry = (self.now + delay, callback)
        self.calls.append(entry)
        loop = self

        class Handle:
            def cancel(self) -> None:
                loop.calls.remove(entry)

        return Handle()

    def run_until(self, moment: float) -> None:
        while self.calls and min(self.calls)[0] <= moment:
            call = min(self.calls, key=lambda one: one[0])
            self.calls.remove(call)
            self.now = call[0]
            call[1]()
        self.now = moment


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(idle_limit.time, "monotonic", lambda: made.now)
    return made


@pytest.mark.parametrize(
    "limit, stuck, times",
    [(10, True, 1), (10, False, 0), (0, True, 0)],
    ids=["stuck", "not", "off"],
)
def test_it_gives_up_once_if_a_client_is_stuck(
    loop: Loop, limit: float, stuck: bool, times: int
) -> None:
    gave_up: list[float] = []
    IdleWatch(loop, limit, lambda: stuck, lambda: gave_up.append(loop.now))

    loop.run_until(100)

    assert gave_up == [10.0] * times


def test_what_happens_puts_it_off(loop: Loop) -> None:
    gave_up: list[float] = []
    watch = IdleWatch(loop, 10, lambda: True, lambda: gave_up.append(loop.now))

    loop.run_until(7)
    watch.stir()
    loop.run_until(100)

    assert gave_up == [17.0]


def test_after_the_end_it_gives_up_no_more(loop: Loop) -> None:
    gave_up: list[float] = []
    watch = IdleWatch(loop, 10, lambda: True, lambda: gave_up.append(loop.now))

    watch.end()
    loop.run_until(100)

    assert gave_up == []
