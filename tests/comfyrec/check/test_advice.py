"""Failures with one cause stand together, and the causes come in the order to fix them."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.check.advice import blocker, fixes
from comfyrec.check.case import Traffic
from comfyrec.check.invariants import Verdict
from comfyrec.check.result import ScenarioResult

SEEN = Traffic(sockets=1, socket_first=True, posts=1, attempts=3, history_requests=1)
COMMAND = ("client", "{url}")


def result(name: str, *failed: str, **more: Any) -> ScenarioResult:
    """A failed scenario; each of ``failed`` is an invariant and why it does not hold."""
    verdicts = tuple(Verdict(*text.split(" ", 1)[:1], False, text[3:]) for text in failed)
    facts = {
        "name": name, "row": "A1", "category": "drift", "summary": "X.",
        "correct": f"does {name}", "evidence": (), "status": "fail" if failed else "pass",
        "ended": "finished", "reported": "the truth", "outcome": "success", "truth": ("success",),
        "verdicts": verdicts, "traffic": SEEN,
    }  # fmt: skip
    return ScenarioResult(**{**facts, **more})


MISSED = Traffic(sockets=1, socket_first=False, posts=1, attempts=2)
LATE = "K7 submitted the prompt before its WebSocket was open"
UNTRUE = {"reported": "an untruth", "truth": ("error",)}
HUNG: dict[str, Any] = {"ended": "hung", "reported": "nothing", "outcome": None}
CRASHED = {"ended": "crashed", "reported": "nothing", "outcome": None, "crash_at": "client.py:12"}


def causes(*results: ScenarioResult) -> list[str]:
    return [fix.cause for fix in fixes(results)]


def test_nothing_is_to_be_fixed_where_all_passes() -> None:
    assert fixes([result("a"), result("b")]) == ()


def test_a_late_socket_comes_before_what_may_follow_from_it() -> None:
    untrue = result("b", "K3 reported success; the prompt failed", **UNTRUE)
    hung = result("a", "K1 never reported an outcome", traffic=MISSED, **HUNG)

    found = fixes([untrue, hung, result("c", LATE, traffic=MISSED)])

    assert [(fix.invariants, fix.scenarios) for fix in found] == [
        (("K1", "K7"), ("c", "a")), (("K3",), ("b",)),
    ]  # fmt: skip
    assert found[0].correct.startswith("opens the WebSocket before it submits the prompt")


def test_a_wrong_output_of_a_client_with_a_late_socket_is_a_cause_of_its_own() -> None:
    wrong = result("a", LATE, "K5 did not report x.png", traffic=MISSED)

    assert fixes([wrong])[0].invariants == ("K5", "K7")
    assert causes(wrong) == [
        "It takes its outputs from messages, and never asks the history: it did not report x.png"
    ]


def test_a_crash_of_a_client_with_a_late_socket_is_a_cause_of_its_own() -> None:
    crash = result("a", LATE, traffic=MISSED, crash="KeyError: 1", **CRASHED)

    assert causes(crash) == ["It crashes: KeyError: 1 (client.py:12)"]


def test_the_same_exception_at_the_same_line_is_one_cause() -> None:
    one = result("a", "K1 ended", crash="KeyError: 'node 17'", **CRASHED)
    same = result("b", "K1 ended", crash="KeyError: 'node 23'", **CRASHED)
    other = result("c", "K1 ended", crash="KeyError: 'x'", **{**CRASHED, "crash_at": "client.py:9"})

    found = fixes([one, same, other])

    assert [fix.scenarios for fix in found] == [("a", "b"), ("c",)]


NEVER_ASKED = Traffic(sockets=1, socket_first=True, posts=1, attempts=2)
FALSE = "K3 reported success; the prompt failed"


def test_who_takes_other_prompts_for_its_own_is_told_so_first() -> None:
    false = [result(name, FALSE, traffic=NEVER_ASKED, **UNTRUE) for name in "abc"]
    foreign = result("d", FALSE, "K4 mistook the end of another prompt for its own", **UNTRUE)

    found = fixes([*false, foreign])

    assert found[0].cause.startswith("It takes messages about other prompts for its own: it mist")
    assert "compares the prompt_id" in found[0].correct


def test_what_happens_without_other_prompts_too_does_not_come_from_them() -> None:
    said = {"reported": "an untruth", "outcome": "interrupted", "traffic": SEEN}
    alone = [result(name, "K3 x", **said) for name in "ab"]
    beside = result("c", "K3 x", "K4 mistook the end of another prompt for its own", **said)

    (fix,) = fixes([*alone, beside])

    assert fix.cause == "It reports interrupted; the prompt succeeded"


def test_a_secret_that_is_given_away_comes_before_crashes() -> None:
    leaks = Traffic(posts=1, attempts=1, leaks=("X-API-Key to b:1 in GET /view",))
    leaky = result("a", "K9 sent X-API-Key to b:1 in GET /view", traffic=leaks)
    crash = result("b", "K1 ended", crash="KeyError: 1", **CRASHED)

    assert causes(crash, leaky)[0] == (
        "It gives a secret away: it sent X-API-Key to b:1 in GET /view"
    )


def test_a_success_that_nobody_asked_the_history_about_is_one_cause_whatever_was_true() -> None:
    interrupted = {"reported": "an untruth", "truth": ("interrupted",)}
    (fix,) = fixes(
        [
            result("a", FALSE, traffic=NEVER_ASKED, **UNTRUE),
            result("b", "K3 reported success", traffic=NEVER_ASKED, **interrupted),
        ]
    )

    assert fix.cause == (
        "It takes what it hears for a success, and never asks the history: "
        "it reported success; the prompt failed"
    )
    assert fix.scenarios == ("a", "b")


def test_who_asked_the_history_and_is_wrong_all_the_same_is_not_told_to_ask() -> None:
    assert causes(result("a", FALSE, **UNTRUE)) == ["It reported success; the prompt failed"]
    assert causes(result("b", "K5 did not report x.png")) == ["It did not report x.png"]


def test_the_same_words_are_one_cause_whatever_became_of_the_prompt() -> None:
    said = {"reported": "an untruth", "outcome": "error", "last_words": "no message within 0.5 s"}
    lost = {**said, "truth": ("lost",)}

    (fix,) = fixes([result("a", "K3 x", **said), result("b", "K3 y", **lost)])

    assert fix.cause.endswith("the prompt succeeded; it printed: no message within 0.5 s")
    assert fix.correct == "does a (in a); does b (in b)"


def test_an_exception_that_is_the_truth_is_no_crash() -> None:
    raised: dict[str, Any] = {"crash": "QueueError: 400", "outcome": "failed"}
    silent = result("a", "K9 did not print the server's reason", **raised)
    wrong = result("b", "K3 reported failed", reported="an untruth", **raised)

    assert causes(silent) == ["It did not print the server's reason"]
    assert causes(wrong) == ["It crashes: QueueError: 400"]


def test_clients_that_hang_are_told_apart_by_what_they_asked() -> None:
    silent = Traffic(sockets=1, posts=1, attempts=2)
    idle = Traffic(attempts=2)
    mute = Traffic(attempts=2, unanswered="GET /prompt")

    found = causes(
        result("a", "K1 never", traffic=silent, **HUNG),
        result("b", "K1 never", traffic=silent, **HUNG),
        result("c", "K1 never", **HUNG),
        result("d", "K1 never", traffic=idle, **HUNG),
        result("e", "K1 never", traffic=mute, **HUNG),
    )

    assert found == [
        "It waits for a WebSocket message that never comes, and never asks the history",
        "It asks the history, but never ends",
        "It never submits a prompt (2 requests)",
        "It waits without a limit for the answer to GET /prompt",
    ]


def test_the_same_failure_with_the_same_last_words_is_one_cause() -> None:
    found = fixes(
        [
            result("a", "K5 did not report x.png", last_words="saved 3 files"),
            result("b", "K5 did not report y.png", last_words="saved 4 files"),
            result("c", "K5 did not report x.png", last_words="no space left"),
        ]
    )

    assert [fix.scenarios for fix in found] == [("a", "b"), ("c",)]
    assert found[1].cause == "It did not report x.png; it printed: no space left"


def test_a_cause_that_more_scenarios_show_comes_first() -> None:
    few = result("a", "K5 did not report x.png")
    many = [result(name, "K9 did not print the reason") for name in "bc"]

    assert causes(few, *many) == ["It did not print the reason", "It did not report x.png"]


def test_the_plain_scenario_shows_a_cause_best_and_then_one_that_ends() -> None:
    late = [
        result("a", LATE, traffic=MISSED, **HUNG),
        result("b", LATE, traffic=MISSED),
        result("success", LATE, traffic=MISSED, took_s=9.0),
    ]

    (fix,) = fixes(late)

    assert fix.scenarios == ("success", "b", "a")


NEVER_CAME = {
    "without an address": (("client",), "and its command has no {url}"),
    "with an address": (COMMAND, "at {url}"),
    "with a port only": (("client", "127.0.0.1:{port}"), "at {url}"),
    "with a job": (None, "at the url of its job"),
}


@pytest.mark.parametrize("command, words", NEVER_CAME.values(), ids=NEVER_CAME)
def test_a_client_that_never_came_blocks_everything(
    command: tuple[str, ...] | None, words: str
) -> None:
    fix = blocker(result("oom", "K1 never", traffic=Traffic(), **HUNG), command)

    assert fix is not None
    assert words in fix.cause


def test_a_client_that_hangs_where_nothing_goes_wrong_blocks_everything() -> None:
    fix = blocker(result("success", "K1 never", **HUNG), COMMAND)

    assert fix is not None
    assert fix.cause.startswith("The client fails where nothing goes wrong: it asks the history")


NO_BLOCKERS = {
    "it passes": result("success"),
    "it ends well, though not by all rules": result("success", LATE),
    "it fails in another scenario": result("oom", "K1 never", **HUNG),
    "the scenario could not be played": result(
        "success", status="error", ended="not run", traffic=Traffic()
    ),
}


@pytest.mark.parametrize("first", NO_BLOCKERS.values(), ids=NO_BLOCKERS)
def test_other_first_results_block_nothing(first: ScenarioResult) -> None:
    assert blocker(first, COMMAND) is None


def test_a_client_of_v2_is_told_of_jobs_and_events() -> None:
    mute = result("a", "K1 never", traffic=Traffic(posts=1, over_v2=True), **HUNG)

    [fix] = fixes([mute])

    assert fix.cause == "It waits for an event that never comes, and never asks for the job"
    assert "asks for the job whenever its event stream is silent" in fix.correct
