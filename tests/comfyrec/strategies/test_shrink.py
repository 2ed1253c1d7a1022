"""The search for what is left: what goes, what stays, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from comfyrec.check.case import Traffic
from comfyrec.check.invariants import Verdict
from comfyrec.check.result import ScenarioResult
from comfyrec.strategies import Fault, Stream, played
from comfyrec.strategies.shrink import Failure, failure_of, made_smaller
from comfyrec.strategies.smaller import PLAINEST
from fake_server.scenarios import Choice, choose
from tests.support.large_stream import MUCH

FOUND = played(MUCH)


def failure(drawn: Stream | Choice, way: str = "K3") -> Failure:
    return Failure(drawn=drawn, says="it fails", failed=(way,), way=(way,))


def never() -> bool:
    return False


def failing_with(
    fails: Callable[[Stream], bool], times: Callable[[int], bool] = lambda run: True
) -> Callable[[Stream | Choice], Failure | None]:
    """A client that fails some runs, each so many times."""
    runs = count()

    def judge(drawn: Stream | Choice) -> Failure | None:
        assert isinstance(drawn, Stream)
        return failure(drawn) if times(next(runs)) and fails(drawn) else None

    return judge


def test_all_without_which_it_still_fails_is_left_out() -> None:
    shrunk = made_smaller(failure(FOUND), failing_with(lambda one: bool(one.nodes)), never)

    drawn = shrunk.failure.drawn
    assert isinstance(drawn, Stream)
    assert (drawn.fault, len(drawn.graph), len(drawn.nodes)) == (None, 1, 1)
    assert (shrunk.whole, shrunk.flaky) == (True, False)
    assert shrunk.runs < 30


def test_a_run_that_fails_in_another_way_is_no_smaller_one() -> None:
    def judge(drawn: Stream | Choice) -> Failure:
        return failure(drawn, "K3" if isinstance(drawn, Stream) and drawn.fault else "K8")

    shrunk = made_smaller(failure(FOUND), judge, never)

    assert isinstance(shrunk.failure.drawn, Stream)
    assert shrunk.failure.drawn.label == "foreign"
    assert shrunk.failure.way == ("K3",)


def test_a_run_that_never_fails_again_is_left_as_it_is() -> None:
    shrunk = made_smaller(failure(FOUND), lambda drawn: None, never)

    assert shrunk.failure.drawn is FOUND
    assert (shrunk.failed, shrunk.tried, shrunk.flaky) == (1, 6, True)
    assert not shrunk.whole


def test_a_client_that_fails_now_and_then_is_asked_more_often() -> None:
    judge = failing_with(lambda one: True, times=lambda run: run % 3 == 2)

    shrunk = made_smaller(failure(FOUND), judge, never)

    assert shrunk.flaky
    assert isinstance(shrunk.failure.drawn, Stream)
    assert shrunk.failure.drawn.graph == PLAINEST.graph
    assert shrunk.failure.drawn.fault is None


def test_the_best_so_far_is_there_when_the_time_is_over() -> None:
    left = iter([False] * 3)
    judge = failing_with(lambda one: one.label == "foreign")

    shrunk = made_smaller(failure(FOUND), judge, lambda: next(left, True))

    assert not shrunk.whole
    assert not shrunk.flaky


def test_somebody_who_has_seen_enough_gets_the_best_so_far() -> None:
    runs = count()

    def judge(drawn: Stream | Choice) -> Failure | None:
        if next(runs) == 3:
            raise KeyboardInterrupt
        return failure(drawn) if isinstance(drawn, Stream) and drawn.nodes else None

    shrunk = made_smaller(failure(FOUND), judge, never)

    assert isinstance(shrunk.failure.drawn, Stream)
    assert len(shrunk.failure.drawn.graph) == 1
    assert not shrunk.whole


def test_a_scenario_stays_unless_the_client_fails_without_it() -> None:
    flood = choose("event-flood")

    stays = made_smaller(
        failure(flood), lambda drawn: failure(drawn) if drawn is flood else None, never
    )
    goes = made_smaller(failure(flood), failure, never)

    assert stays.failure.drawn is flood
    assert isinstance(goes.failure.drawn, Stream)


SEEN = Traffic(sockets=1, socket_first=True, posts=1, attempts=3, history_requests=1)


def result(*failed: str, **more: object) -> ScenarioResult:
    facts = {
        "name": "x", "row": "", "category": "drift", "summary": "", "correct": "", "evidence": (),
        "status": "fail", "ended": "finished", "reported": "an untruth", "outcome": "success",
        "truth": ("error",), "verdicts": tuple(Verdict(one, False, "fails") for one in failed),
        "traffic": SEEN,
    }  # fmt: skip
    return ScenarioResult(**{**facts, **more})  # type: ignore[arg-type]  # a table of fields


CRASH = {"ended": "crashed", "reported": "nothing", "outcome": None, "crash": "KeyError: 1"}
WAYS = {
    "what it reports is wrong, in one way or another": (result("K3"), result("K4", "K5"), True),
    "it reports something else": (result("K3"), result("K3", outcome="error"), False),
    "it reports the truth, and floods": (
        result("K8", reported="the truth"),
        result("K8", reported="the truth", outcome="interrupted"),
        True,
    ),
    "it floods, or is wrong": (result("K8", reported="the truth"), result("K3"), False),
    "the same exception at another line": (
        result("K1", crash_at="a.py:1", **CRASH),
        result("K1", crash_at="a.py:2", **CRASH),
        False,
    ),
}


@pytest.mark.parametrize("one, other, same", WAYS.values(), ids=WAYS)
def test_two_runs_fail_in_the_same_way(
    one: ScenarioResult, other: ScenarioResult, same: bool
) -> None:
    ways = [failure_of(PLAINEST, "", each).way for each in (one, other)]

    assert (ways[0] == ways[1]) is same


def test_a_client_without_a_socket_before_its_prompt_misses_frames() -> None:
    late = result("K8", traffic=Traffic(sockets=1, socket_first=False, posts=1))

    assert failure_of(PLAINEST, "", late).misses_frames
    assert not failure_of(PLAINEST, "", result("K8")).misses_frames


def test_a_fault_stays_where_it_is_needed() -> None:
    cut = played(Stream(graph=MUCH.graph, fault=Fault(label="cut", position=4, code=1001)))

    shrunk = made_smaller(failure(cut), failing_with(lambda one: one.label == "cut"), never)

    assert isinstance(shrunk.failure.drawn, Stream)
    assert shrunk.failure.drawn.fault == Fault(label="cut", position=0)
