"""The reader of time: virtual microseconds, and a call when a moment has come.

Virtual time starts at 0 and runs ``speed`` times as fast as the loop's own, which is real time if
the loop is not a ``VirtualTimeLoop``. Speed 0 stands still until a test advances it. Speed ``inf``
stands still too, but jumps to the next moment as soon as the loop has nothing else to do, so that
nothing ever waits.

Moments are absolute: what is late does not make the next thing later, and all that is due is done
in one go, each at its own moment. Only while an answer is worked out time stands still: what
follows from a request would else come in one go with its answer, and clients that begin to listen
when they have read it miss that.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from comfyrec.http.dates import http_date

__all__ = ["MAX", "WORK_US", "Clock", "date_field"]

MAX: Final = math.inf
WORK_US: Final = 5_000
"""Real time from which on it is noticed that an answer had to be worked out."""
_ONE_GO_S: Final = 0.02
"""After so long the loop gets to read its sockets, even when more is due."""
_MICRO: Final = 1_000_000


class Clock:
    """Virtual time on one loop. All methods are called in the loop's thread.

    Args:
        ring: called with the moment, for each moment that has come.
        speed: virtual seconds per real one; 0: stepped; ``inf``: as fast as the wire.
        settle: awaited before a jump at speed ``inf``: lets what was written so far leave.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ring: Callable[[int], None],
        *,
        speed: float = 1.0,
        settle: Callable[[], Coroutine[Any, Any, None] | None] = lambda: None,
    ) -> None:
        self._loop, self._ring, self._settle = loop, ring, settle
        self._speed = _checked(speed)
        self._since = loop.time()
        self._base = 0
        self._moments: list[int] = []
        self._handle: asyncio.Handle | None = None
        self._settling: asyncio.Task[None] | None = None
        self._ringing = self._closed = False

    # --- telling -------------------------------------------------------------------------------

    @property
    def speed(self) -> float:
        """How many virtual seconds pass in a real one; 0 is stepped, ``inf`` never waits."""
        return self._speed

    @property
    def next_moment(self) -> int | None:
        """When the clock will ring next, None when nobody asked it to."""
        return self._moments[0] if self._moments else None

    def now(self) -> int:
        """Virtual microseconds since the start."""
        if self._speed == 0 or self._speed == MAX:
            return self._base
        passed = (self._loop.time() - self._since) * _MICRO
        return self._base + int(passed if self._speed == 1 else passed * self._speed)

    # --- asking --------------------------------------------------------------------------------

    def ring_at(self, moment: int) -> None:
        """Ring once ``moment`` has come; the same moment asked for twice rings once."""
        if moment in self._moments[:4] or self._closed:
            return
        heapq.heappush(self._moments, moment)
        if not self._ringing and self._moments[0] == moment:
            self._arm()

    def catch_up(self) -> None:
        """Ring for all that is due before something from outside is looked at."""
        if self._moments and self._moments[0] <= self.now() and not self._ringing:
            self._due()

    def stood_still_since(self, moment: int) -> None:
        """No time has passed since a moment: whoever behaves was at work, and does not count it.

        What is soon done is not looked at: the loop takes as long now and then.
        """
        if self._speed in (0, MAX):
            return
        worked = (self.now() - moment) / self._speed
        if worked > WORK_US:
            self._base, self._since = moment, self._loop.time()
            self._arm()

    # --- control -------------------------------------------------------------------------------

    def set_speed(self, speed: float) -> None:
        """Go on at another speed from now; 0 pauses."""
        self._base, self._since = self.now(), self._loop.time()
        self._speed = _checked(speed)
        self._arm()

    def advance(self, microseconds: int) -> int:
        """Move on by that much, ringing at every moment on the way; gives the new time.

        Raises:
            ValueError: a negative distance.
        """
        if microseconds < 0:
            raise ValueError("time only goes forward")
        goal = self.now() + microseconds
        while self._moments and self._moments[0] <= goal:
            self._ring_next()
        self._set(goal)
        self._arm()
        return goal

    def step(self) -> int | None:
        """Jump to the next moment and ring; None when there is none."""
        if not self._moments:
            return None
        moment = self._moments[0]
        self._ring_next()
        self._arm()
        return moment

    def forget(self) -> None:
        """Drop all moments and start again at 0, at the same speed."""
        self._moments.clear()
        self._base, self._since = 0, self._loop.time()
        self._disarm()

    def close(self) -> None:
        """Never ring again."""
        self._closed = True
        self._moments.clear()
        self._disarm()

    # --- inside --------------------------------------------------------------------------------

    def _set(self, moment: int) -> None:
        if moment > self.now():
            self._base, self._since = moment, self._loop.time()

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _arm(self) -> None:
        if self._settling is not None:
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._moments or self._speed == 0 or self._closed:
            return
        if self._speed == MAX:
            self._handle = self._loop.call_soon(self._jump)
            return
        left = (self._moments[0] - self.now()) / self._speed / _MICRO
        self._handle = self._loop.call_later(max(left, 0), self._due)

    def _jump(self) -> None:
        self._handle = None
        waiting = self._settle()
        if waiting is not None:
            self._settling = self._loop.create_task(self._jump_after(waiting))
            return
        if self._moments and self._speed == MAX:
            self._ring_next()
        self._arm()

    async def _jump_after(self, waiting: Coroutine[Any, Any, None]) -> None:
        await waiting
        self._settling = None
        self._arm()

    def _due(self) -> None:
        until = time.monotonic() + _ONE_GO_S
        while self._moments and self._moments[0] <= self.now():
            self._ring_next()
            if time.monotonic() > until:
                break
        self._arm()

    def _ring_next(self) -> None:
        moment = heapq.heappop(self._moments)
        while self._moments and self._moments[0] == moment:
            heapq.heappop(self._moments)
        self._set(moment)
        self._ringing = True
        try:
            self._ring(moment)
        finally:
            self._ringing = False


def _checked(speed: float) -> float:
    if not speed >= 0:
        raise ValueError("speed is 0 (stepped), a positive number, or inf (as fast as the wire)")
    return speed


_dated: tuple[int, str] = (0, "")


def date_field() -> str:
    """The real time as a ``Date`` field."""
    global _dated
    seconds = int(time.time())
    if _dated[0] != seconds:
        _dated = seconds, http_date(seconds)
    return _dated[1]
