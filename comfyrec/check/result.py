"""verdicts -> the result of one scenario, and what to mend first over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from comfyrec.check.invariants import INVARIANTS, Case, Deeds, Verdict, judge
from fake_server.scenarios import Choice, Complaint

__all__ = ["Fix", "ScenarioResult", "Status", "Summary", "broken_off", "result_of", "summary_of"]

Status = Literal["kept", "broken", "not exercised", "error"]
"""``not exercised``: nothing was broken, but the client never came where the scenario bites.
``error``: the scenario itself could not be played."""

TAIL_CHARACTERS: Final = 4_000
"""Of what a client printed, for a report that a person reads."""


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a client did in one scenario."""

    name: str
    """With the parameters that are not the defaults."""
    row: str
    category: str
    summary: str
    correct: str
    evidence: tuple[str, ...]
    status: Status
    ended: Literal["finished", "hung", "crashed", "not run"]
    told: Literal["the truth", "a lie", "nothing"]
    outcome: str | None = None
    truth: tuple[str, ...] = ()
    after_end_s: float | None = None
    """Seconds from the true end to the report."""
    took_s: float = 0.0
    grew_bytes: int | None = None
    """How much its memory grew under a flood; None: there was none, or it was not measured."""
    verdicts: tuple[Verdict, ...] = ()
    deeds: Deeds = Deeds()
    notes: tuple[str, ...] = ()
    tail: str = ""

    @property
    def fine(self) -> bool:
        """Nothing in it makes the whole check fail."""
        return self.status in ("kept", "not exercised")

    @property
    def broken(self) -> list[Verdict]:
        """The invariants that were not kept."""
        return [verdict for verdict in self.verdicts if verdict.kept is False]


def result_of(
    case: Case, title: str, complaints: Sequence[Complaint], *, took_s: float = 0.0
) -> ScenarioResult:
    """Judge a case."""
    verdicts = tuple(judge(case))
    after = None
    if case.report.at_s is not None and case.truth.at_s is not None:
        after = round(case.report.at_s - case.truth.at_s, 3)
    scenario = case.scenario
    return ScenarioResult(
        name=title,
        row=scenario.row,
        category=scenario.category,
        summary=scenario.summary,
        correct=scenario.correct,
        evidence=scenario.evidence,
        status=_status(case, verdicts, complaints),
        ended=_ended(case),
        told=_told(case),
        outcome=case.outcome,
        truth=scenario.truth,
        after_end_s=after,
        took_s=round(took_s, 3),
        grew_bytes=case.grew_bytes,
        verdicts=verdicts,
        deeds=case.deeds,
        notes=(*map(str, complaints), *_unmeasured(case)),
        tail=case.report.text[-TAIL_CHARACTERS:],
    )


def broken_off(choice: Choice, why: str) -> ScenarioResult:
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
        told="nothing",
        truth=scenario.truth,
        notes=(why,),
    )


def _unmeasured(case: Case) -> Iterable[str]:
    if case.truth.flooded_s is not None and not case.report.memory:
        yield "its memory was not measured: there is no /proc here that would tell"


_OF_ANY_RUN: Final = ("K1", "K2", "K5", "K7")


def _status(case: Case, verdicts: Sequence[Verdict], complaints: Sequence[Complaint]) -> Status:
    idle = any(complaint.needed for complaint in complaints)
    # Where nothing was done to a run, what the scenario expects to be told does not count.
    as_it_was = bool(complaints) and _as_it_ended(case)
    counted = _OF_ANY_RUN if as_it_was else tuple(INVARIANTS)
    if any(verdict.kept is False and verdict.invariant in counted for verdict in verdicts):
        return "broken"
    if not complaints:
        return "kept"
    # A client without a socket, or that submitted nothing, cannot meet what is done to frames.
    could_have = case.deeds.sockets > 0 and case.deeds.posts > 0
    return "error" if could_have and idle else "not exercised"


def _as_it_ended(case: Case) -> bool:
    ending = case.truth.ending
    failed = case.outcome == "failed" and ending not in ("success", None)
    return failed or case.outcome == ending


def _ended(case: Case) -> Literal["finished", "hung", "crashed"]:
    if case.report.at_s is None:
        return "hung"
    return "crashed" if case.report.crash and not case.report.outcomes else "finished"


def _told(case: Case) -> Literal["the truth", "a lie", "nothing"]:
    if case.outcome is None:
        return "nothing"
    return "the truth" if case.truthful else "a lie"


class Fix(msgspec.Struct, frozen=True):
    """One thing to mend, and where it shows."""

    what: str
    scenarios: tuple[str, ...]
    hint: str
    """What a correct client does there."""


class Summary(msgspec.Struct, frozen=True):
    """Over all scenarios."""

    scenarios: int
    kept: int
    broken: int
    not_exercised: int
    errors: int
    hung: int
    lies: int
    fixes: tuple[Fix, ...]


def summary_of(results: Sequence[ScenarioResult]) -> Summary:
    """Count, and list what to mend first: lies, then hanging, then the rest by how often."""
    return Summary(
        scenarios=len(results),
        kept=_count(results, "kept"),
        broken=_count(results, "broken"),
        not_exercised=_count(results, "not exercised"),
        errors=_count(results, "error"),
        hung=sum(result.ended == "hung" for result in results),
        lies=sum(result.told == "a lie" for result in results),
        fixes=tuple(_fixes(results)),
    )


def _count(results: Iterable[ScenarioResult], status: Status) -> int:
    return sum(result.status == status for result in results)


def _fixes(results: Sequence[ScenarioResult]) -> list[Fix]:
    broken = [result for result in results if result.status == "broken"]
    groups: dict[str, list[ScenarioResult]] = {}
    for result in broken:
        groups.setdefault(_complaint(result), []).append(result)
    order = sorted(groups.items(), key=lambda group: (_rank(group[1][0]), -len(group[1])))
    return [Fix(what, tuple(one.name for one in some), _hint(some)) for what, some in order]


def _hint(some: Sequence[ScenarioResult]) -> str:
    """What is correct in all of these at once if there is such a thing, or else in the first."""
    hang = all(result.ended == "hung" and result.told == "nothing" for result in some)
    return _WHEN_SILENT if hang and len(some) > 1 else some[0].correct


_WHEN_SILENT: Final = (
    "asks the history, and then the queue, whenever its socket has nothing to say, and has a limit "
    "for each request and one in all"
)


def _complaint(result: ScenarioResult) -> str:
    if result.told == "a lie":
        return f"it says {result.outcome} where the truth is {' or '.join(result.truth)}"
    if result.ended == "hung":
        return "it never ends"
    first = result.broken[0].invariant
    return f"{first}: a client {INVARIANTS[first]}"


def _rank(result: ScenarioResult) -> int:
    return {"a lie": 0}.get(result.told, 1 if result.ended == "hung" else 2)
