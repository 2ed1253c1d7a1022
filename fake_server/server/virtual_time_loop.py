"""An event loop in virtual time, for a client beside its server: waiting costs nothing.

While a client runs, each turn of the loop takes a millisecond, and when there is nothing to do
before the next timer, time goes to that timer at once. A client that waits five seconds for a frame
that never comes takes no longer than one that gets it, and a client in a busy loop comes to its
time-out as well. However busy the machine is, it is the same time. Sockets are real; only the
waiting is not. Work in another thread (an executor) takes real time. The idea is that of looptime.

Before and after, the loop goes on in real time from where it has got to.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

from fake_server.server.thread import LoopThread, SharedThread

__all__ = ["VirtualTimeLoop", "VirtualTimeThread", "virtual_time_thread"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
TURN_S: Final = 0.001
GRACE_S: Final = 0.001
"""Real time in which what was written may still arrive, before time goes to the next timer."""
STUCK_S: Final = 5.0
"""Real time that a loop without any timer waits for the outside, at a time."""
CANCELS_MAX: Final = 100
"""A client that swallows every exception may swallow its cancellation too, a few times."""


class _Selector(selectors.DefaultSelector):
    """Selects as ever, and tells the loop how much time that took."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if not self.loop.clients:
            return super().select(timeout)
        if self.loop.in_executor:
            began = time.monotonic()
            ready = super().select(timeout)
            self.loop.turn(time.monotonic() - began)
            return ready
        ready = super().select(0)
        if not ready and timeout != 0:
            ready = super().select(STUCK_S if timeout is None else GRACE_S)
        self.loop.turn(0.0 if ready or timeout is None else timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop; see the module's docstring."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.clients = self.in_executor = 0
        """How many clients run in virtual time, and how many calls run in other threads."""
        self._now = self._ahead = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds; those of ``time.monotonic`` until the first client runs."""
        return self._now if self.clients else time.monotonic() + self._ahead

    def turn(self, seconds: float) -> None:
        """Let time go on by one turn of the loop that has waited for so long."""
        self._now += max(seconds, TURN_S)

    @contextlib.contextmanager
    def in_virtual_time(self) -> Iterator[None]:
        """Run in virtual time as long as the block runs; in the loop's thread."""
        self._now = self.time()
        self.clients += 1
        try:
            yield
        finally:
            self.clients -= 1
            if not self.clients:
                self._ahead = self._now - time.monotonic()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run in another thread; until it is done, time is real."""
        running = super().run_in_executor(executor, func, *args)
        self.in_executor += 1
        running.add_done_callback(self._left_executor)
        return running

    def _left_executor(self, _: object) -> None:
        self.in_executor -= 1


class VirtualTimeThread(LoopThread):
    """A loop thread that runs clients in virtual time."""

    loop: VirtualTimeLoop

    def __init__(self) -> None:
        super().__init__(VirtualTimeLoop())

    def run_client(self, client: Coroutine[Any, Any, T], limit_s: float) -> asyncio.Task[T] | None:
        """Run a client to its end; gives its task, None when it was stopped at the limit.

        Raises:
            TimeoutError: it blocks the loop, in real time; the thread cannot be used any more.
        """
        try:
            return self.run(self._run_client(client, limit_s))
        except TimeoutError:
            self.died = "a client has held up its loop"
            self.loop.call_soon_threadsafe(self.loop.stop)  # once it gives way
            raise

    async def _run_client(
        self, client: Coroutine[Any, Any, T], limit_s: float
    ) -> asyncio.Task[T] | None:
        with self.loop.in_virtual_time():
            running = asyncio.ensure_future(client)
            done, _ = await asyncio.wait({running}, timeout=limit_s)
            for _ in range(CANCELS_MAX):
                if running.done():
                    break
                running.cancel()
                await asyncio.wait({running}, timeout=0.1)
        return running if done else None


_shared = SharedThread(VirtualTimeThread)


def virtual_time_thread() -> VirtualTimeThread:
    """The one virtual time thread of this process, started when first asked for."""
    return _shared.get()
