"""verdicts -> the result of one scenario, and the count over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from comfyrec.check.case import Case, Traffic
from comfyrec.check.invariants import INVARIANTS, Verdict, judge
from comfyrec.check.story import Moment
from fake_server.scenarios import Choice, Complaint

__all__ = [
    "ScenarioResult",
    "Status",
    "Summary",
    "not_played",
    "result_of",
    "summary_of",
]

Status = Literal["pass", "fail", "not exercised", "error"]
"""``not exercised``: nothing failed, but the client never got to where the scenario matters.
``error``: the scenario itself could not be played."""

TAIL_CHARACTERS: Final = 4_000
"""Of what a client printed, for a report that a person reads."""


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a client did in one scenario."""

    name: str
    """With the parameters that differ from the defaults."""
    row: str
    category: str
    summary: str
    correct: str
    evidence: tuple[str, ...]
    status: Status
    ended: Literal["finished", "hung", "crashed", "not run"]
    reported: Literal["the truth", "an untruth", "nothing"]
    outcome: str | None = None
    truth: tuple[str, ...] = ()
    """The outcomes that are true in this scenario."""
    after_end_s: float | None = None
    """Seconds from the end of the prompt to the report."""
    took_s: float = 0.0
    grew_bytes: int | None = None
    """How much its memory grew during a flood; None: there was none, or it was not measured."""
    verdicts: tuple[Verdict, ...] = ()
    traffic: Traffic = Traffic()
    notes: tuple[str, ...] = ()
    crash: str = ""
    crash_at: str = ""
    last_words: str = ""
    tail: str = ""
    """The end of what the client printed."""
    story: tuple[Moment, ...] = ()
    """What its server saw, where the client failed or the scenario could not be played."""

    @property
    def fine(self) -> bool:
        """Whether it does not make the whole check fail."""
        return self.status in ("pass", "not exercised")

    @property
    def failed(self) -> list[Verdict]:
        """The invariants that do not hold."""
        return [verdict for verdict in self.verdicts if verdict.passed is False]


def result_of(
    case: Case, title: str, complaints: Sequence[Complaint], *, took_s: float = 0.0
) -> ScenarioResult:
    """Judge a case."""
    verdicts = tuple(judge(case))
    after = None
    if case.report.at_s is not None and case.truth.at_s is not None:
        after = round(case.report.at_s - case.truth.at_s, 3)
    scenario, report = case.scenario, case.report
    return ScenarioResult(
        name=title,
        row=scenario.row,
        category=scenario.category,
        summary=scenario.summary,
        correct=scenario.correct,
        evidence=scenario.evidence,
        status=_status(case, verdicts, complaints),
        ended=_ended(case),
        reported=_reported(case),
        outcome=case.outcome,
        truth=scenario.truth,
        after_end_s=after,
        took_s=round(took_s, 3),
        grew_bytes=case.grew_bytes,
        verdicts=verdicts,
        traffic=case.traffic,
        notes=(*map(str, complaints), *_unmeasured(case)),
        crash=report.crash,
        crash_at=report.crash_at,
        last_words=report.last_words,
        tail=report.text[-TAIL_CHARACTERS:],
    )


def not_played(choice: Choice, why: str) -> ScenarioResult:
    """The scenario itself could not be played."""
    scenario = choice.scenario
    return ScenarioResult(
        name=choice.title,
        row=scenario.row,
        category=scenario.category,
        summary=scenario.summary,
        correct=scenario.correct,
        evidence=scenario.evidence,
        status="error",
        ended="not run",
        reported="nothing",
        truth=scenario.truth,
        notes=(why,),
    )


def _unmeasured(case: Case) -> Iterable[str]:
    if case.truth.flooded_s is not None and not case.report.memory:
        yield "memory was not measured: this system has no /proc"


_OF_ANY_RUN: Final = ("K1", "K2", "K5", "K7")


def _status(case: Case, verdicts: Sequence[Verdict], complaints: Sequence[Complaint]) -> Status:
    idle = any(complaint.needed and not complaint.missed for complaint in complaints)
    # Where nothing was done to a run, what the scenario expects to be reported does not count.
    as_it_was = bool(complaints) and _as_it_ended(case)
    counted = _OF_ANY_RUN if as_it_was else tuple(INVARIANTS)
    if any(verdict.passed is False and verdict.invariant in counted for verdict in verdicts):
        return "fail"
    if not complaints:
        return "pass"
    # A client without a socket, or that submitted nothing, cannot meet what is done to frames.
    could_have = case.traffic.sockets > 0 and case.traffic.posts > 0
    return "error" if could_have and idle else "not exercised"


def _as_it_ended(case: Case) -> bool:
    ending = case.truth.ending
    failed = case.outcome == "failed" and ending not in ("success", None)
    return failed or case.outcome == ending


def _ended(case: Case) -> Literal["finished", "hung", "crashed"]:
    if case.report.at_s is None:
        return "hung"
    return "crashed" if case.report.crash and not case.report.outcomes else "finished"


def _reported(case: Case) -> Literal["the truth", "an untruth", "nothing"]:
    if case.outcome is None:
        return "nothing"
    return "the truth" if case.truthful else "an untruth"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Over all scenarios."""

    scenarios: int
    passed: int
    failed: int
    not_exercised: int
    errors: int
    not_run: int
    """Left out, because the client fails before any scenario matters."""
    hung: int
    untrue: int
    """Scenarios in which the client reported what is not true."""


def summary_of(results: Sequence[ScenarioResult], *, not_run: int = 0) -> Summary:
    """Count."""
    return Summary(
        scenarios=len(results) + not_run,
        passed=_count(results, "pass"),
        failed=_count(results, "fail"),
        not_exercised=_count(results, "not exercised"),
        errors=_count(results, "error"),
        not_run=not_run,
        hung=sum(result.ended == "hung" for result in results),
        untrue=sum(result.reported == "an untruth" for result in results),
    )


def _count(results: Iterable[ScenarioResult], status: Status) -> int:
    return sum(result.status == status for result in results)
