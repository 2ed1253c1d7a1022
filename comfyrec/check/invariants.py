"""What a client reported + what truly happened -> which of the invariants K1 to K9 it kept.

Each oracle is one function; it says ``kept``, ``broken`` with the reason, or that it cannot tell
from what is known. Nothing here looks at the client's code: only at what it said and did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from comfyrec.events.outputs import FileEntry, all_files_in
from comfyrec.wording import shortened_list
from fake_server.scenarios.kit.observer import Ending, JournalNote
from fake_server.scenarios.kit.scenario import Scenario

__all__ = [
    "ALWAYS",
    "INVARIANTS",
    "Bounds",
    "Case",
    "Deeds",
    "Report",
    "Truth",
    "Verdict",
    "deeds",
    "judge",
]

INVARIANTS: Final[Mapping[str, str]] = {
    "K1": "reports exactly one outcome per prompt",
    "K2": "reports it soon after the true end, whatever the socket does",
    "K3": "tells the truth: no success of a failure, no failure of a success",
    "K4": "ignores frames of other prompts",
    "K5": "reports the outputs of the history entry, all kinds of them",
    "K6": "skips what it does not understand, and goes on",
    "K7": "opens the socket before it submits",
    "K8": "has bounds: no storm of requests, no hoard of messages, the prompt's id at a time-out",
    "K9": "shows the server's own reason, and never a secret",
}

ALWAYS: Final = ("K1", "K2", "K3")
"""Judged in every scenario; the others where the scenario tries them."""

Outcome = Ending | Literal["failed"]
"""``failed``: an exit status that only says that it was no success."""

OUTCOMES: Final = get_args(Ending)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a client said of its one prompt. Times are seconds on any one clock."""

    outcomes: tuple[Outcome, ...] = ()
    """All that it reported, in order; a client that keeps K1 reports one."""
    at_s: float | None = None
    """When it reported; None: never, it hung."""
    prompt_id: str | None = None
    outputs: Mapping[str, Any] | None = None
    """By node, as in a history entry; None: it said nothing of them."""
    files: tuple[bytes, ...] | None = None
    """What it saved; None: it was not looked at."""
    text: str = ""
    """All that it printed."""
    crash: str = ""
    """The last line of an uncaught exception, or the signal that ended it."""
    memory: tuple[tuple[float, int], ...] = ()
    """Its peak so far: (seconds, bytes) whenever that rose; empty: it was not measured."""


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
    """Some request or socket of the client was let in; false: the server never was there for it."""
    unfinished: bool = False
    """It was accepted and had not ended when the client was done."""
    outputs: Mapping[str, Any] | None = None
    """As the server shows them in its history."""
    contents: tuple[bytes, ...] = ()
    """The bytes of the output files."""
    obtainable: bool = True
    """A client can get them; there are scenarios where it cannot."""
    secret: str = ""
    """What must not be shown."""


class Deeds(msgspec.Struct, frozen=True, kw_only=True):
    """What the server saw a client do."""

    sockets: int = 0
    socket_first: bool | None = None
    """The socket was open before the prompt was posted; None: no socket, or no prompt."""
    posts: int = 0
    requests: int = 0
    attempts: int = 0
    """Requests and upgrades, those that were turned away among them."""
    asked_history: int = 0
    asked_queue: int = 0
    interrupts: int = 0
    busiest_second: int = 0
    """Most requests and upgrades within one second."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What "soon" and "too much" mean."""

    late_s: float = 15.0
    """How long after the true end a report may come."""
    busy: int = 100
    """Requests and upgrades within a second."""
    attempts: int = 3
    """After fewer of them a server that may come yet is not to be given up."""
    memory_bytes: int | None = 80 * 1024 * 1024
    """How much a client's memory may grow under a flood; None: as much as it likes.

    Between what a runtime that collects late takes (46 MiB were seen with Node.js) and what
    ``event-flood`` sends, which a client that keeps it grows by.
    """


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that an oracle looks at."""

    scenario: Scenario
    report: Report
    truth: Truth
    deeds: Deeds
    bounds: Bounds = Bounds()

    @property
    def outcome(self) -> Outcome | None:
        """What it reported last."""
        return self.report.outcomes[-1] if self.report.outcomes else None

    @property
    def too_early(self) -> bool:
        """It reported an end of a prompt that the server still has to do."""
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
        """The outcome is so: one that the scenario foresees, or that nothing came of it."""
        return self.foreseen or self.never_came

    @property
    def never_came(self) -> bool:
        """It says that nothing came of its prompt, and in truth the server never accepted one."""
        return self.outcome in _NO_END and self.truth.prompt_id is None

    @property
    def foreseen(self) -> bool:
        """The outcome is one that the scenario lets a client report."""
        may = set(self.scenario.truth)
        if self.truth.prompt_id is None:
            may &= _WITHOUT_A_PROMPT
            return bool(may) and self.outcome in may | {"error", "failed"}
        if self.outcome == "failed":
            return may != {"success"}
        return self.outcome in may and not self.too_early


_WITHOUT_A_PROMPT: Final = frozenset(("rejected", "lost", "timed-out", "cancelled"))
_NO_END: Final = _WITHOUT_A_PROMPT | {"failed", "error"}


class Verdict(msgspec.Struct, frozen=True):
    """What one oracle says. ``kept`` None: it cannot be told."""

    invariant: str
    kept: bool | None
    why: str = ""


Found = bool | str | None
"""True: kept; a text: broken, and why; None: cannot be told."""


def judge(case: Case) -> list[Verdict]:
    """All oracles that this scenario calls for, in order."""
    called = sorted({*ALWAYS, *case.scenario.keeps})
    return [_verdict(name, _ORACLES[name](case)) for name in called]


def _verdict(name: str, found: Found) -> Verdict:
    if isinstance(found, str):
        return Verdict(name, False, found)
    return Verdict(name, found)


# --- the oracles ------------------------------------------------------------------------------


def _one_outcome(case: Case) -> Found:
    report = case.report
    if report.at_s is None:
        return "it never reported an end"
    if report.crash and not report.outcomes:
        return f"it broke off: {report.crash}"
    if not report.outcomes:
        return "it ended without an outcome"
    if len(report.outcomes) > 1:
        return f"it reported {len(report.outcomes)} outcomes: {', '.join(report.outcomes)}"
    return True


def _in_time(case: Case) -> Found:
    if case.report.at_s is None:
        return None if case.truth.at_s is None else "it was still waiting when it was stopped"
    if case.truth.at_s is None:
        return None
    late = case.report.at_s - case.truth.at_s
    if late > case.bounds.late_s:
        return f"it reported {late:.1f} s after the true end (bound {case.bounds.late_s:g} s)"
    return True


def _truthful(case: Case) -> Found:
    if case.outcome is None:
        return None
    if case.too_early:
        return f"it said {case.outcome} of a prompt that had not ended"
    if case.outcome == "success" and case.truth.prompt_id is None:
        return "it said success, and no prompt of its was ever accepted"
    if not case.truthful:
        return f"it said {case.outcome}, the truth is {' or '.join(case.scenario.truth)}"
    if not case.foreseen and not case.deeds.attempts:
        return f"it said {case.outcome}, and never came to the server"
    if not case.foreseen and case.truth.reached:
        return f"it said {case.outcome}: the server was there, and no prompt of its was accepted"
    return True


def _only_its_own(case: Case) -> Found:
    if case.report.at_s is None or case.outcome is None:
        return None
    if case.truth.at_s is not None and case.report.at_s < case.truth.at_s - _CLOCK_S:
        return "it reported before its prompt was over"
    told, true = case.report.outputs, case.truth.outputs
    if told is not None and true is not None:
        strange = set(all_files_in(told)) - set(all_files_in(true))
        if strange:
            return f"it reported files of another prompt: {_names(strange)}"
    return True if case.foreseen else "it took another prompt's end for its own"


def _true_outputs(case: Case) -> Found:
    if case.outcome != "success" or case.truth.outputs is None:
        return None
    if case.report.outputs is not None:
        told, true = set(all_files_in(case.report.outputs)), set(all_files_in(case.truth.outputs))
        if told != true:
            return _difference(told, true)
    return _true_files(case)


def _true_files(case: Case) -> Found:
    saved, true = case.report.files, case.truth.contents
    if saved is None:
        return None if case.report.outputs is None else True
    # Temporary files are previews; nobody has to keep them.
    results = {file for file in all_files_in(case.truth.outputs) if file.type != "temp"}
    wanted = min(len(results), len(true)) if case.truth.obtainable else 0
    if len(saved) < wanted:
        return f"it saved {len(saved) or 'none'} of the {wanted} files"
    if any(one not in true and _is_stump(one, true) for one in saved):
        return "it saved a file that is only the beginning of one"
    return True


def _went_on(case: Case) -> Found:
    if case.report.crash and not case.foreseen:
        return f"it broke off: {case.report.crash}"
    if case.report.at_s is None:
        return "it stopped taking notice"
    return True if case.foreseen else "it was led astray by something to be skipped"


def _socket_first(case: Case) -> Found:
    if case.deeds.socket_first is False:
        return "it submitted before its socket was open"
    return case.deeds.socket_first


def _patient(case: Case) -> Found:
    grew, most = case.grew_bytes, case.bounds.memory_bytes
    if grew is not None and most is not None and grew > most:
        return f"its memory grew by {_mib(grew)} under the flood (bound {_mib(most)})"
    if case.deeds.busiest_second > case.bounds.busy:
        return (
            f"it sent {case.deeds.busiest_second} requests within a second "
            f"(bound {case.bounds.busy})"
        )
    if case.outcome == "timed-out" and case.deeds.posts and case.truth.prompt_id:
        named = case.truth.prompt_id in (case.report.prompt_id or "", case.report.text)
        if not named and case.truth.prompt_id not in case.report.text:
            return "it gave up without naming the prompt, which nobody can ask for now"
    if case.report.at_s is None:
        return "it has no limit"
    if case.never_came and not case.foreseen and case.deeds.attempts < case.bounds.attempts:
        return f"it gave up after {case.deeds.attempts} attempts, and the server was still to come"
    gave_up = case.outcome in ("error", "failed", "lost", "timed-out")
    if gave_up and not case.truthful and case.truth.ending in ("success", None):
        return "it gave up on a prompt that was well"
    return True


def _reason_not_secret(case: Case) -> Found:
    text = case.report.text
    if case.truth.secret and case.truth.secret in text:
        return "it showed a secret"
    wanted = case.scenario.reason
    if case.outcome in (None, "success") or not wanted:
        return None
    if not any(words in text for words in wanted):
        return f"it does not say why: nothing like '{wanted[0]}' in what it printed"
    return True


_ORACLES: Final[Mapping[str, Callable[[Case], Found]]] = {
    "K1": _one_outcome,
    "K2": _in_time,
    "K3": _truthful,
    "K4": _only_its_own,
    "K5": _true_outputs,
    "K6": _went_on,
    "K7": _socket_first,
    "K8": _patient,
    "K9": _reason_not_secret,
}

_CLOCK_S: Final = 0.02
"""A report that comes this much before the true end may be the same moment, seen twice."""


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MiB"


# --- outputs ----------------------------------------------------------------------------------


def _difference(told: set[FileEntry], true: set[FileEntry]) -> str:
    if missing := true - told:
        return f"it did not report {_names(missing)}"
    return f"it reported what is not there: {_names(told - true)}"


def _names(files: set[FileEntry]) -> str:
    return ", ".join(shortened_list(sorted(file.filename for file in files), 3))


def _is_stump(saved: bytes, true: Sequence[bytes]) -> bool:
    return any(len(saved) < len(whole) and whole.startswith(saved) for whole in true)


# --- deeds ------------------------------------------------------------------------------------


def deeds(journal: Sequence[JournalNote], seconds: Sequence[float]) -> Deeds:
    """A stage's journal, and the real time of each entry -> what the client did."""
    knocks = [index for index, note in enumerate(journal) if note.what == "knocked"]
    asked = [(index, note.detail) for index, note in enumerate(journal) if note.what == "asked"]
    posts = [index for index, detail in asked if _is(detail, "POST", "/prompt")]
    accepted = [index for index, note in enumerate(journal) if note.what == "accepted"]
    busy = sorted(seconds[index] for index in [*knocks, *(index for index, _ in asked)])
    return Deeds(
        sockets=len(accepted),
        socket_first=accepted[0] < posts[0] if accepted and posts else None,
        posts=len(posts),
        requests=len(asked),
        attempts=len(asked) + len(knocks),
        asked_history=sum(_is(detail, "GET", "/history") for _, detail in asked),
        asked_queue=sum(_is(detail, "GET", "/queue") for _, detail in asked),
        interrupts=sum(_is(detail, "POST", "/interrupt") for _, detail in asked),
        busiest_second=_most_within(busy, 1.0),
    )


def _is(detail: str, method: str, path: str) -> bool:
    asked, _, target = detail.partition(" ")
    bare = target.removeprefix("/api").partition("?")[0]
    return asked == method and (bare == path or bare.startswith(f"{path}/"))


def _most_within(times: Sequence[float], span: float) -> int:
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] > span:
            first += 1
        most = max(most, last - first + 1)
    return most
