"""A loop whose time leaps while a client lives on it beside its server: waiting costs nothing.

While it leaps, each turn of the loop is a millisecond, and where nothing is to be done until a
timer it goes there at once. So a client that waits five seconds for a frame that never comes takes
no longer than one that gets it, and time goes by for one that spins, too; however busy the machine
is, it is the same time. Sockets are real; only waiting is not. What was handed to another thread
takes the time that it takes.

Before and after, the loop goes on in real time from where it has got to.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

from fake_server.server.thread import LoopThread

__all__ = ["LeapingLoop", "LeapingThread", "leaping_thread"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
TURN_S: Final = 0.001
GRACE_S: Final = 0.001
"""Real time in which what was written may still arrive, before a leap."""
STUCK_S: Final = 5.0
"""Real time that a loop without any timer waits for the outside, at a time."""
CANCELS_MAX: Final = 100
"""A client that swallows every exception may swallow its cancellation too, a few times."""


class _Selector(selectors.DefaultSelector):
    """Selects as ever, and tells the loop how much time that took."""

    loop: LeapingLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self.loop.leaps:
            return super().select(timeout)
        if self.loop.elsewhere:
            began = time.monotonic()
            ready = super().select(timeout)
            self.loop.turn(time.monotonic() - began)
            return ready
        ready = super().select(0)
        if not ready and timeout != 0:
            ready = super().select(STUCK_S if timeout is None else GRACE_S)
        self.loop.turn(0.0 if ready or timeout is None else timeout)
        return ready


class LeapingLoop(asyncio.SelectorEventLoop):
    """The loop; see the module's docstring."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.leaps = self.elsewhere = 0
        """How many clients live in leaping time, and how much runs in other threads."""
        self._now = self._ahead = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds; as those of ``time.monotonic`` until it first leaps."""
        return self._now if self.leaps else time.monotonic() + self._ahead

    def turn(self, seconds: float) -> None:
        """Time goes on by one turn that has waited for so long."""
        self._now += max(seconds, TURN_S)

    @contextlib.contextmanager
    def leaping(self) -> Iterator[None]:
        """Let time leap as long as the block runs; in the loop's thread."""
        self._now = self.time()
        self.leaps += 1
        try:
            yield
        finally:
            self.leaps -= 1
            if not self.leaps:
                self._ahead = self._now - time.monotonic()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """In another thread; time does not leap until it is done."""
        running = super().run_in_executor(executor, func, *args)
        self.elsewhere += 1
        running.add_done_callback(self._is_back)
        return running

    def _is_back(self, _: object) -> None:
        self.elsewhere -= 1


class LeapingThread(LoopThread):
    """A loop thread that can have clients, whose time leaps."""

    loop: LeapingLoop

    def __init__(self) -> None:
        super().__init__(LeapingLoop())

    def live(self, client: Coroutine[Any, Any, T], limit_s: float) -> asyncio.Task[T] | None:
        """Run a client to its end; gives its task, None when it was stopped at the limit.

        Raises:
            TimeoutError: it blocks the loop, in real time; the thread is of no use any more.
        """
        try:
            return self.run(self._live(client, limit_s))
        except TimeoutError:
            self.died = "a client has held up its loop"
            self.loop.call_soon_threadsafe(self.loop.stop)  # once it gives way
            raise

    async def _live(self, client: Coroutine[Any, Any, T], limit_s: float) -> asyncio.Task[T] | None:
        with self.loop.leaping():
            running = asyncio.ensure_future(client)
            done, _ = await asyncio.wait({running}, timeout=limit_s)
            for _ in range(CANCELS_MAX):
                if running.done():
                    break
                running.cancel()
                await asyncio.wait({running}, timeout=0.1)
        return running if done else None


_the_thread: LeapingThread | None = None
_making = threading.Lock()


def leaping_thread() -> LeapingThread:
    """The one leaping thread of this process, started when first asked for."""
    global _the_thread
    with _making:
        if _the_thread is None or not _the_thread.usable:
            _the_thread = LeapingThread()
        return _the_thread
