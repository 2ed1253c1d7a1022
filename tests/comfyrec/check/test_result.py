"""The result of one scenario, and the count over all of them."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.check.case import Case, Report, Traffic, Truth
from comfyrec.check.result import not_played, result_of, summary_of
from fake_server.scenarios import Complaint, choose, find

SEEN = Traffic(sockets=1, socket_first=True, posts=1, attempts=2)
IDLE = Complaint("drop what never is", needed=True)


def case(outcome: str | None, ending: Any = "success", **more: Any) -> Case:
    report = Report(outcomes=(outcome,), at_s=1.0) if outcome else Report()  # type: ignore[arg-type]  # a word
    facts = {"traffic": SEEN, "truth": Truth(ending=ending, at_s=0.5, prompt_id="p"), **more}
    return Case(scenario=find("success"), report=report, **facts)


STATUSES = {
    "all is well": (case("success"), (), "pass", "the truth"),
    "an untruth": (case("error"), (), "fail", "an untruth"),
    "it hung": (case(None), (), "fail", "nothing"),
    "the scenario did nothing": (case("success"), (IDLE,), "error", "the truth"),
    "the client had no WebSocket": (
        case("success", traffic=Traffic(posts=1, attempts=1)), (IDLE,), "not exercised",
        "the truth",
    ),
}  # fmt: skip


@pytest.mark.parametrize("given, complaints, status, reported", STATUSES.values(), ids=STATUSES)
def test_a_case_has_a_status(
    given: Case, complaints: tuple[Complaint, ...], status: str, reported: str
) -> None:
    result = result_of(given, "success", complaints)

    assert (result.status, result.reported) == (status, reported)
    assert result.fine == (status in ("pass", "not exercised"))


def test_the_report_is_timed_from_the_end_of_the_prompt() -> None:
    assert result_of(case("success"), "success", ()).after_end_s == 0.5
    assert result_of(case(None), "success", ()).after_end_s is None


def test_results_are_counted() -> None:
    results = [
        result_of(case("success"), "a", ()),
        result_of(case("error"), "b", ()),
        result_of(case(None), "c", ()),
        not_played(choose("oom"), "no port"),
    ]

    found = summary_of(results, not_run=3)

    assert (found.scenarios, found.passed, found.failed) == (7, 1, 2)
    assert (found.errors, found.not_run, found.hung, found.untrue) == (1, 3, 1, 1)
