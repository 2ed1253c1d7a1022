"""All that is known of a client in one scenario: its report, the truth, and what the server saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from fake_server.scenarios.kit.observer import Ending
from fake_server.scenarios.kit.scenario import Scenario

__all__ = ["OUTCOMES", "Case", "Limits", "Outcome", "Report", "Traffic", "Truth"]

Outcome = Ending | Literal["failed"]
"""``failed``: an exit status that only says that it was not a success."""

OUTCOMES: Final = get_args(Ending)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a client reported about its one prompt. Times are seconds on any one clock."""

    outcomes: tuple[Outcome, ...] = ()
    """All that it reported, in order; one, if K1 holds."""
    at_s: float | None = None
    """When it reported; None: it hung."""
    prompt_id: str | None = None
    outputs: Mapping[str, Any] | None = None
    """By node, as in a history entry; None: it did not report any."""
    files: tuple[bytes, ...] | None = None
    """The contents that it saved; None: unknown."""
    text: str = ""
    """All that it printed."""
    crash: str = ""
    """The last line of an uncaught exception, or the signal that ended it."""
    crash_at: str = ""
    """Where the exception was raised, as ``client.py:12``; empty: unknown."""
    last_words: str = ""
    """The error that it reported, or else the last line that it wrote to standard error."""
    memory: tuple[tuple[float, int], ...] = ()
    """Its peak so far, as (seconds, bytes) whenever it rose; empty: not measured."""


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What truly became of the prompt."""

    ending: Ending | None = None
    """None: it never ended, or was never accepted."""
    at_s: float | None = None
    """When, on the clock of the report."""
    flooded_s: float | None = None
    """When a flood of messages began, on the same clock; None: there was none."""
    prompt_id: str | None = None
    reached: bool = True
    """Some request or WebSocket of the client was let in; false: the server was never there."""
    unfinished: bool = False
    """It was accepted and had not ended when the client was done."""
    ends_of_others: frozenset[str] | None = None
    """How prompts of others ended, as the client was told; None: unknown."""
    outputs: Mapping[str, Any] | None = None
    """As the server shows them in its history."""
    by_name: bool = False
    """The client meets another surface, where outputs have a name alone, and texts are files."""
    contents: tuple[bytes, ...] = ()
    """The bytes of the output files."""
    obtainable: bool = True
    """Whether a client can get them; in some scenarios it cannot."""
    secret: str = ""
    """What must not be printed."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What the server saw a client do."""

    sockets: int = 0
    socket_first: bool | None = None
    """Whether a WebSocket was open before the prompt was posted; None: one of them is missing."""
    posts: int = 0
    over_v2: bool = False
    """It submitted a job of Comfy API v2; asking for that job counts as asking the history."""
    requests: int = 0
    attempts: int = 0
    """Requests and upgrades, rejected ones included."""
    history_requests: int = 0
    queue_requests: int = 0
    interrupts: int = 0
    busiest_second: int = 0
    """Most requests and upgrades within one second."""
    keyed: bool = False
    """It sent a credential."""
    unanswered: str = ""
    """A request that it still waited for when it ended or was stopped, as ``GET /prompt``."""
    leaks: tuple[str, ...] = ()
    """Credentials that it sent to another host than its own: ``X-API-Key to localhost:8188 in GET
    /view``."""
    quiet_s: float = 0.0
    """How long it had not asked or said anything when it ended or was stopped."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What "soon" and "too much" mean."""

    late_s: float = 15.0
    """How long after the true end a report may come."""
    busy: int = 100
    """Requests and upgrades within a second."""
    attempts: int = 3
    """So many a client makes before it gives up on a server that may be starting."""
    memory_bytes: int | None = 80 * 1024 * 1024
    """How much a client's memory may grow during a flood; None: as much as it likes.

    It lies between what a runtime with a lazy garbage collector takes (46 MiB with Node.js) and
    what ``event-flood`` sends, by which a client grows that keeps every message.
    """


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that an invariant is judged by."""

    scenario: Scenario
    report: Report
    truth: Truth
    traffic: Traffic
    limits: Limits = Limits()

    @property
    def outcome(self) -> Outcome | None:
        """What it reported last."""
        return self.report.outcomes[-1] if self.report.outcomes else None

    @property
    def too_early(self) -> bool:
        """It reported the end of a prompt that still waits or runs."""
        ends = ("success", "error", "interrupted")
        return self.outcome in ends and self.truth.unfinished

    @property
    def grew_bytes(self) -> int | None:
        """How much its memory grew from the beginning of a flood; None: unknown, or no flood."""
        flooded_s = self.truth.flooded_s
        if flooded_s is None or not self.report.memory:
            return None
        before = [size for second, size in self.report.memory if second <= flooded_s]
        peaks = [size for _, size in self.report.memory]
        return max(peaks) - max(before, default=peaks[0])

    @property
    def truthful(self) -> bool:
        """Whether the outcome is true: one that fits the scenario, or that nothing came of it."""
        return self.foreseen or self.nothing_came

    @property
    def nothing_came(self) -> bool:
        """It reported that nothing came of its prompt, and the server never accepted one."""
        return self.outcome in _NO_END and self.truth.prompt_id is None

    @property
    def foreseen(self) -> bool:
        """Whether the outcome is one that the scenario leads a correct client to."""
        may = set(self.scenario.truth)
        if self.truth.prompt_id is None:
            may &= _WITHOUT_A_PROMPT
            return bool(may) and self.outcome in may | {"error", "failed"}
        if self.outcome == "failed":
            return may != {"success"}
        return self.outcome in may and not self.too_early


_WITHOUT_A_PROMPT: Final = frozenset(("rejected", "lost", "timed-out", "cancelled"))
_NO_END: Final = _WITHOUT_A_PROMPT | {"failed", "error"}
