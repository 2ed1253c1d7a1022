"""What a case says of a client: too early, truthful, foreseen, and how much it grew."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.check.case import Case, Report, Traffic, Truth
from fake_server.scenarios import find


def case(outcome: str | None, *, truth: Truth, scenario: str = "success", **report: Any) -> Case:
    outcomes: Any = () if outcome is None else (outcome,)
    return Case(
        scenario=find(scenario),
        report=Report(outcomes=outcomes, **report),
        truth=truth,
        traffic=Traffic(),
    )


RAN = Truth(prompt_id="p", ending="success")
FAILED = Truth(prompt_id="p", ending="error")
RUNNING = Truth(prompt_id="p", unfinished=True)
NOTHING = Truth()


@pytest.mark.parametrize(
    "outcome, truth, scenario, foreseen, truthful",
    [
        ("success", RAN, "success", True, True),
        ("error", RAN, "success", False, False),
        ("success", FAILED, "execution-error", False, False),
        ("error", FAILED, "execution-error", True, True),
        ("failed", FAILED, "execution-error", True, True),
        ("failed", RAN, "success", False, False),
        ("success", RUNNING, "success", False, False),
        ("lost", NOTHING, "success", False, True),
        ("rejected", NOTHING, "reject-400", True, True),
        ("success", NOTHING, "reject-400", False, False),
    ],
)
def test_an_outcome_is_held_against_the_truth(
    outcome: str, truth: Truth, scenario: str, foreseen: bool, truthful: bool
) -> None:
    found = case(outcome, truth=truth, scenario=scenario)

    assert (found.foreseen, found.truthful) == (foreseen, truthful)


def test_the_last_of_several_outcomes_counts() -> None:
    found = Case(
        scenario=find("success"),
        report=Report(outcomes=("error", "success")),
        truth=RAN,
        traffic=Traffic(),
    )

    assert found.outcome == "success"


@pytest.mark.parametrize(
    "outcome, too_early", [("success", True), ("error", True), ("timed-out", False), (None, False)]
)
def test_an_end_of_a_prompt_that_still_runs_is_too_early(
    outcome: str | None, too_early: bool
) -> None:
    assert case(outcome, truth=RUNNING).too_early is too_early


@pytest.mark.parametrize(
    "memory, flooded_s, grew",
    [
        (((0.0, 10), (1.0, 30), (3.0, 90)), 2.0, 60),
        (((2.5, 40), (3.0, 90)), 2.0, 50),
        (((0.0, 10), (1.0, 30)), 2.0, 0),
        (((0.0, 10),), None, None),
        ((), 2.0, None),
    ],
)
def test_memory_grows_from_the_beginning_of_a_flood(
    memory: Any, flooded_s: float | None, grew: int | None
) -> None:
    truth = Truth(prompt_id="p", flooded_s=flooded_s)

    assert case("success", truth=truth, memory=memory).grew_bytes == grew
