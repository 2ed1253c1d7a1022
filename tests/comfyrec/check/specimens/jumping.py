"""A loop whose clock is its own: each turn is a millisecond, and where nothing is to do it jumps.

So a client that waits for five seconds costs nothing, and one that spins for ever gets there too.
Sockets are real; only waiting is not. Server and client share the loop.
"""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fake_server.server.listeners import Listeners
from fake_server.server.thread import LoopThread

T = TypeVar("T")
TURN_S = 0.001
GRACE_S = 0.001
"""Real time in which what was written may still arrive, before the clock jumps."""
STUCK_S = 5.0
"""Real time that a loop without any timer may wait for the outside."""


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # an alias of a class
    """Selects as ever, and tells the loop how much time that took."""

    turn: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout != 0:
            ready = super().select(STUCK_S if timeout is None else GRACE_S)
        waited = 0.0 if ready or timeout is None else max(timeout, 0.0)
        self.turn(max(waited, TURN_S))
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """The loop; ``time`` is its own."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.turn = self._turn
        self._now = 1_000.0
        super().__init__(selector)

    def _turn(self, seconds: float) -> None:
        self._now += seconds

    def time(self) -> float:
        """Seconds of this loop's life."""
        return self._now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> Any:
        """At once: another thread would live in real time."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except OSError as error:
            done.set_exception(error)
        return done


class Here(LoopThread):
    """What serves on a loop that does not run yet, in this thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.died, self.pid = loop, None, os.getpid()
        self.servers, self.listeners = set(), Listeners(loop)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run it at once."""
        return function(*args, **kwargs)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end."""
        return self.loop.run_until_complete(coroutine)


class LoopTime:
    """Stands in for the module ``time`` where a clock has to be the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, real: Any) -> None:
        self._loop, self._real = loop, real

    def monotonic(self) -> float:
        """The loop's seconds."""
        return self._loop.time()

    def monotonic_ns(self) -> int:
        """The loop's nanoseconds."""
        return round(self._loop.time() * 1e9)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
