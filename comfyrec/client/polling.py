"""what responses say about a prompt -> what to ask next; and what was asked so far.

The order matters: a prompt goes from the queue into the history in one step, so only a history
asked *after* a queue without it proves that it is in neither. ``NEXT`` is that as a table; the
``Tracker`` follows it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from comfyrec.client.settings import ClientSettings

__all__ = ["NEXT", "Awaited", "Limits", "Reply", "Requests", "Then"]

_SECOND: Final = 1_000_000
_PAUSES_US: Final = (50_000, 100_000, 200_000, 400_000, 800_000)
_RETRY_US_MIN: Final = 50_000
_RETRY_US_MAX: Final = 5 * _SECOND
_FAILURES_MIN: Final = 2


class Awaited(enum.Enum):
    """Which response is awaited."""

    NOTHING = enum.auto()
    HISTORY = enum.auto()
    QUEUE = enum.auto()
    HISTORY_AGAIN = enum.auto()
    """After a queue without the prompt."""


class Reply(enum.Enum):
    """What a response says about the prompt."""

    ENTRY = enum.auto()
    NO_ENTRY = enum.auto()
    NO_ENTRY_YET = enum.auto()
    """No entry, although messages announced the end (W3)."""
    CANNOT_SAY = enum.auto()
    """The server has no history of single prompts, nor jobs."""
    LISTED = enum.auto()
    """It runs or waits."""
    NOT_LISTED = enum.auto()


class Then(enum.Enum):
    """What follows when no other request does."""

    CONCLUDE = enum.auto()
    ASK_LATER = enum.auto()
    """After the poll interval, ever later."""
    ASK_SOON = enum.auto()
    """After ever longer pauses below a second; the end by messages after the grace time."""
    GONE = enum.auto()
    """Once it has been in neither for the grace time."""
    UNSAID = enum.auto()
    """It has left the queue, and only messages can say how it ended: after the patience it is lost.
    """


NEXT: Final[Mapping[Awaited, Mapping[Reply, Awaited | Then]]] = {
    Awaited.HISTORY: {
        Reply.ENTRY: Then.CONCLUDE,
        Reply.NO_ENTRY: Awaited.QUEUE,
        Reply.NO_ENTRY_YET: Then.ASK_SOON,
        Reply.CANNOT_SAY: Awaited.QUEUE,
    },
    Awaited.QUEUE: {
        Reply.LISTED: Then.ASK_LATER,
        Reply.NOT_LISTED: Awaited.HISTORY_AGAIN,
    },
    Awaited.HISTORY_AGAIN: {
        Reply.ENTRY: Then.CONCLUDE,
        Reply.NO_ENTRY: Then.GONE,
        Reply.NO_ENTRY_YET: Then.ASK_SOON,
        Reply.CANNOT_SAY: Then.UNSAID,
    },
    # A response that nobody waits for changes nothing.
    Awaited.NOTHING: {},
}


class Limits(msgspec.Struct, frozen=True):
    """The settings in microseconds."""

    idle_us: int
    poll_us: int
    grace_us: int
    patience_us: int
    deadline: int | None

    @classmethod
    def of(cls, settings: ClientSettings, now: int) -> Limits:
        """Those of a prompt that was accepted at ``now``."""
        idle_us = round(settings.idle_limit_s * _SECOND)
        total_s = settings.timeout_s
        return cls(
            idle_us,
            min(round(settings.poll_interval_s * _SECOND), idle_us),
            round(settings.grace_s * _SECOND),
            round(settings.patience_s * _SECOND),
            None if total_s is None else now + round(total_s * _SECOND),
        )


class Requests(msgspec.Struct):
    """What was asked, what is awaited, and what came of it so far."""

    asked_at: int
    awaited: Awaited = Awaited.NOTHING
    ask_again: bool = False
    """A reason to ask came while a response was awaited."""
    silent_rounds: int = 0
    """Rounds since the last message."""
    lagging_since: int | None = None
    """Since when the history lags behind the messages."""
    absent_since: int | None = None
    """Since when neither queue nor history knows the prompt."""
    pauses: int = 0
    failures: int = 0
    failing_since: int = 0
    failed_because: str = ""

    def lags_us(self, now: int) -> int:
        """How long the history has lagged behind the messages."""
        self.lagging_since = now if self.lagging_since is None else self.lagging_since
        return now - self.lagging_since

    def absent_us(self, now: int) -> int:
        """How long neither queue nor history has known the prompt."""
        self.absent_since = now if self.absent_since is None else self.absent_since
        return now - self.absent_since

    def short_pause_us(self) -> int:
        """How long to pause before the same request, a little longer each time."""
        pause = _PAUSES_US[min(self.pauses, len(_PAUSES_US) - 1)]
        self.pauses += 1
        return pause

    def long_pause_us(self, limits: Limits) -> int:
        """How long to pause while the prompt waits or runs in silence, ever longer."""
        self.silent_rounds += 1
        return min(limits.poll_us * self.silent_rounds, max(limits.idle_us, limits.poll_us))

    def failed(self, why: str, now: int, limits: Limits) -> int | None:
        """A request failed: how long to pause before the next one; None: enough of them failed."""
        self.failing_since = self.failing_since if self.failures else self.asked_at
        self.failures += 1
        self.failed_because = why
        if self.failures >= _FAILURES_MIN and now - self.failing_since >= limits.patience_us:
            return None
        pause = min(250_000 << min(self.failures - 1, 6), _RETRY_US_MAX, limits.patience_us // 4)
        return max(pause, _RETRY_US_MIN)
