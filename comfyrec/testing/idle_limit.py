"""Ends a wait that nobody will end: a client waits, and the server has nothing more to say.

Such a client hangs its test for ever. So once nothing has happened for a while (in real time) and
nothing is due, the server is stopped, which ends what the client waits for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["IdleWatch"]


class IdleWatch:
    """Watches one server, in its loop's thread.

    Args:
        loop: the server's.
        limit_s: real seconds without anything; 0: do not watch.
        stuck: whether a client waits for something that will not come.
        give_up: called once, when that was so for ``limit_s``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float,
        stuck: Callable[[], bool],
        give_up: Callable[[], None],
    ) -> None:
        self._loop, self._limit_s = loop, limit_s
        self._stuck, self._give_up = stuck, give_up
        self._latest = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        if limit_s > 0:
            loop.call_soon_threadsafe(self._look_again, limit_s)

    def stir(self) -> None:
        """Something has happened. Any thread may say so."""
        self._latest = time.monotonic()

    def end(self) -> None:
        """Watch no more."""
        self._limit_s = 0
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self, after_s: float) -> None:
        if self._limit_s > 0:
            self._timer = self._loop.call_later(after_s, self._look)

    def _look(self) -> None:
        left_s = self._latest + self._limit_s - time.monotonic()
        if left_s > 0:
            self._look_again(left_s)
        elif self._stuck():
            self._give_up()
        else:
            self._look_again(self._limit_s)
