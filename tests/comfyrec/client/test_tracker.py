"""Done, silent or lost? One prompt under virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client import session_inputs as s
from comfyrec.client.http.requests import Queued
from comfyrec.client.result import Outcome
from comfyrec.client.tracker import GetHistory, GetQueue
from tests.support.scripted_comfyui import OUTPUTS, entry
from tests.support.tracker_sim import ERROR, OTHER, PROMPT, Sim, run_by_frames


def test_a_run_with_frames_ends_by_frames_and_carries_no_marker(accepted: Sim) -> None:
    run_by_frames(accepted)

    assert accepted.result.outcome is Outcome.SUCCESS
    assert accepted.result.detected_by == "frames"
    assert accepted.result.outputs == OUTPUTS
    assert accepted.types[0] == "submitted"
    assert accepted.types[-1] == "completed"
    assert "detected_by" not in accepted.events[-1]


def test_an_ordinary_run_asks_the_history_once_and_the_queue_never(accepted: Sim) -> None:
    run_by_frames(accepted)

    assert (accepted.count(GetHistory), accepted.count(GetQueue)) == (1, 0)


def test_a_prompt_of_an_old_server_ends_with_the_null_alone(accepted: Sim) -> None:
    accepted.start()
    accepted.ends(entry(PROMPT))
    accepted.ours("executing", node=None)

    assert accepted.result.outcome is Outcome.SUCCESS
    assert accepted.result.detected_by == "frames"


def test_a_prompt_ends_with_the_success_alone_when_the_null_never_comes(running: Sim) -> None:
    running.ours("execution_success", timestamp=2)
    running.ends(entry(PROMPT))

    assert running.wait_for_end(0.2) <= 0.1

    assert running.result.outcome is Outcome.SUCCESS


def test_a_history_that_lags_behind_the_success_is_asked_again(running: Sim) -> None:
    running.ours("execution_success", timestamp=2)
    running.wait(1.0)
    running.ends(entry(PROMPT))

    assert running.wait_for_end(1.0) <= 0.8

    assert running.result.outputs == OUTPUTS


def test_an_entry_whose_outputs_lag_behind_is_asked_again(running: Sim) -> None:
    running.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    running.ours("execution_success", timestamp=2)
    running.ends(entry(PROMPT, outputs={}))
    running.wait(0.3)
    running.ends(entry(PROMPT))

    running.wait_for_end(1.0)

    assert running.result.outputs == OUTPUTS


def test_outputs_that_never_reach_the_history_come_from_the_frames(running: Sim) -> None:
    running.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    running.ours("execution_success", timestamp=2)
    running.ends(entry(PROMPT, outputs={}))

    running.wait_for_end(3.0)

    assert running.result.outputs == OUTPUTS


def test_a_success_whose_entry_was_evicted_is_a_success_with_a_warning(
    running: Sim,
) -> None:
    running.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    running.ours("execution_success", timestamp=2)
    running.ends(None)

    assert running.wait_for_end(5.0) < 4.5

    assert running.result.outcome is Outcome.SUCCESS
    assert "no entry" in running.result.warnings[0]


def test_an_error_is_remembered_when_the_null_comes_behind_it(running: Sim) -> None:
    running.ours("execution_error", **ERROR)
    running.ends(entry(PROMPT, kind="error", outputs={}, **ERROR))
    running.ours("executing", node=None)

    assert running.result.outcome is Outcome.ERROR
    assert running.result.reason == "node 1 (EmptyImage): ValueError: out of paint"
    assert running.result.detected_by == "frames"


def test_a_blocked_output_is_not_the_end_and_becomes_a_warning(running: Sim) -> None:
    blocked = {
        **ERROR,
        "exception_type": "ExecutionBlocked",
        "exception_message": "Execution Blocked: no mask",
        "traceback": [],
        "current_inputs": [],
    }

    running.ours("execution_error", **blocked)
    assert not running.results
    running.ours("execution_success", timestamp=2)
    running.ends(entry(PROMPT))
    running.ours("executing", node=None)

    assert running.result.outcome is Outcome.SUCCESS
    assert "no mask" in running.result.warnings[0]


def test_a_dependency_cycle_is_an_error_although_the_history_says_success(running: Sim) -> None:
    running.ours("execution_error", **{**ERROR, "exception_type": "graph.DependencyCycleError"})
    running.ends(entry(PROMPT, outputs={}))
    running.ours("executing", node=None)

    assert running.result.outcome is Outcome.ERROR


def test_history_that_says_error_beats_a_frame_that_says_success(running: Sim) -> None:
    running.ours("execution_success", timestamp=1)
    running.ends(entry(PROMPT, kind="error", outputs={}, **ERROR))
    running.ours("executing", node=None)

    assert running.result.outcome is Outcome.ERROR


def test_an_error_found_in_the_history_ends_at_once_and_is_marked(accepted: Sim) -> None:
    accepted.runs()
    accepted.ends(entry(PROMPT, kind="error", outputs={}, **ERROR))

    assert accepted.wait_for_end(5.1) == pytest.approx(5.0, abs=0.1)

    assert accepted.result.outcome is Outcome.ERROR
    assert accepted.events[-1].type == "error"
    assert accepted.events[-1]["detected_by"] == "history"
    assert accepted.events[-1].raw == {
        "type": "history_completed",
        "data": accepted.history[PROMPT],
    }
    assert "out of paint" in accepted.result.reason


def test_an_interrupt_is_told_apart_from_an_error(running: Sim) -> None:
    running.ours("execution_interrupted", node_id="1", node_type="EmptyImage", executed=[])
    running.ends(entry(PROMPT, kind="interrupted", outputs={}, node_id="1", node_type="EmptyImage"))
    running.ours("executing", node=None)

    assert running.result.outcome is Outcome.INTERRUPTED
    assert running.result.reason == "interrupted at node 1 (EmptyImage)"


def test_partial_outputs_of_an_error_are_kept(running: Sim) -> None:
    running.ours("execution_error", **ERROR)
    running.ends(entry(PROMPT, kind="error", **ERROR))
    running.ours("executing", node=None)

    assert running.result.outputs == OUTPUTS


@pytest.mark.parametrize(
    ("status", "outcome"),
    {
        "no status": (None, Outcome.SUCCESS),
        "empty status": ({}, Outcome.SUCCESS),
        "completed alone": ({"completed": True}, Outcome.SUCCESS),
        "not completed": ({"completed": False}, Outcome.ERROR),
        "an error without messages": ({"status_str": "error", "messages": []}, Outcome.ERROR),
        "odd messages": (
            {"status_str": "error", "messages": [None, [], ["execution_interrupted"], 3]},
            Outcome.ERROR,
        ),
        "messages null": ({"status_str": "success", "messages": None}, Outcome.SUCCESS),
    }.values(),
    ids=str,
)
def test_entries_of_other_servers_are_understood(
    accepted: Sim, status: Any, outcome: Outcome
) -> None:
    accepted.runs()
    accepted.ends({"outputs": OUTPUTS, "status": status})

    accepted.wait_for_end(6)

    assert accepted.result.outcome is outcome


def test_a_marked_event_holds_the_entry_and_its_parts(accepted: Sim) -> None:
    accepted.runs()
    accepted.ends(entry(PROMPT))

    accepted.wait_for_end(6)
    last, item = accepted.events[-1], accepted.history[PROMPT]

    assert last.type == "completed"
    assert last["detected_by"] == last.detected_by == "history"
    assert last["raw"] == {"type": "history_completed", "data": item}
    assert {k: last.data[k] for k in ("status", "outputs", "meta", "prompt")} == {
        k: item[k] for k in ("status", "outputs", "meta", "prompt")
    }


def test_parts_that_an_entry_does_not_have_are_absent_from_the_marked_event(accepted: Sim) -> None:
    accepted.runs()
    accepted.ends({"outputs": {}})

    accepted.wait_for_end(6)

    assert set(accepted.events[-1].data) == {"outputs"}


@pytest.mark.parametrize("frames", range(4))
def test_silence_after_n_frames_ends_by_the_history_at_the_idle_limit(frames: int):
    sim = Sim(idle_limit_s=2.0)
    sim.accept()
    sim.runs()
    for _ in range(frames):
        sim.wait(1.5)
        sim.ours("progress", node="1", value=1, max=4)
    sim.ends(entry(PROMPT))

    assert sim.wait_for_end(2.1) == pytest.approx(2.0, abs=0.1)

    assert sim.result.detected_by == "history"


def test_frames_put_the_question_off_and_strangers_do_not():
    sim = Sim(idle_limit_s=2.0)
    sim.accept()
    sim.start()
    for _ in range(30):
        sim.wait(0.1)
        sim.hear("crystools.monitor", cpu=3)
        sim.ours("progress", OTHER, node="1", value=1, max=4)
    sim.wait(0.1)

    assert sim.count(GetHistory) > 0


def test_a_long_quiet_node_is_waited_for_and_asked_after_ever_less_often(running: Sim) -> None:
    running.wait(600)

    assert not running.results
    assert 100 < running.count(GetHistory) < 150
    running.ends(entry(PROMPT))
    running.wait_for_end(5.1)
    assert running.result.outcome is Outcome.SUCCESS


def test_waiting_in_the_queue_is_told_by_position():
    sim = Sim()
    sim.pending = ["x", "y"]
    sim.accept()

    sim.wait(6)
    sim.pending.remove("x")
    sim.hear("status", status={"exec_info": {"queue_remaining": 2}})
    sim.wait(2)

    positions = [event.data["position"] for event in sim.events if event.type == "queue"]
    assert positions == [2, 1]
    assert sim.events[-1].progress.queue_position == 1


def test_a_deleted_pending_prompt_ends_as_cancelled(accepted: Sim) -> None:
    accepted.wait(6)
    accepted.ends(None)
    accepted.hear("status", status={"exec_info": {"queue_remaining": 0}})

    assert accepted.wait_for_end(6) < 5

    assert accepted.result.outcome is Outcome.CANCELLED


def test_a_forgotten_prompt_ends_as_lost(running: Sim) -> None:
    running.ends(None)

    assert running.wait_for_end(12) < 10

    assert running.result.outcome is Outcome.LOST


def test_a_prompt_that_is_gone_after_the_server_refused_connections_is_lost(accepted: Sim) -> None:
    accepted.feed(s.SocketLost("reset"))
    accepted.failing, accepted.refused = "refused", True
    accepted.wait(2)
    accepted.failing = None
    accepted.ends(None)

    accepted.wait_for_end(10)

    assert accepted.result.outcome is Outcome.LOST


def test_a_server_that_never_answers_again_makes_it_lost_within_the_patience():
    sim = Sim(patience_s=10.0)
    sim.accept()
    sim.start()
    sim.failing, sim.refused = "Connection refused", True
    sim.feed(s.SocketLost("reset"))

    assert sim.wait_for_end(16) < 15.5

    assert sim.result.outcome is Outcome.LOST
    assert "Connection refused" in sim.result.reason


def test_failing_questions_are_counted_and_a_few_of_them_do_no_harm(accepted: Sim) -> None:
    accepted.runs()
    accepted.failing = "500"
    accepted.wait(8)
    accepted.failing = None
    accepted.ends(entry(PROMPT))

    accepted.wait_for_end(6)

    assert accepted.result.outcome is Outcome.SUCCESS


def test_a_prompt_between_queue_and_history_is_not_given_up():
    """It ends just between the question for the history and the one for the queue."""
    sim = Sim()
    sim.answering = False
    sim.accept()
    sim.runs()
    sim.wait(5.5)
    sim.feed(s.HistoryReceived(PROMPT, None))
    sim.ends(entry(PROMPT))
    sim.feed(s.QueueReceived(Queued((), ())))
    sim.feed(s.HistoryReceived(PROMPT, sim.history[PROMPT]))

    assert sim.result.outcome is Outcome.SUCCESS


def test_a_total_limit_ends_it_once_and_for_all():
    sim = Sim(timeout_s=7.0)
    sim.accept()
    sim.start()

    assert sim.wait_for_end(8) == pytest.approx(7.0)

    assert sim.result.outcome is Outcome.TIMED_OUT
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)
    sim.wait(60)
    assert len(sim.results) == 1


def test_execution_complete_is_an_old_name_of_success(running: Sim) -> None:
    running.ours("execution_complete")
    running.ends(entry(PROMPT))

    running.wait_for_end(0.2)

    assert running.result.outcome is Outcome.SUCCESS
    assert running.result.detected_by == "frames"


def test_progress_counts_cached_nodes_and_never_exceeds_one():
    sim = Sim()
    sim.accept(nodes=("1", "2", "3", "4"))
    sim.runs()
    sim.ours("execution_cached", nodes=["1", 2, "not in the graph"], timestamp=1)
    halves = [sim.events[-1].progress.nodes_progress]
    sim.ours("executing", node=3, display_node=3)
    sim.ours("progress", node="3", value=30, max=20)
    halves.append(sim.events[-1].progress.nodes_progress)
    sim.ours("executing", node="4", display_node="4")
    sim.ours("executing", node="4.0.1", display_node="4")
    sim.ours("executing", node="4.0.2", display_node="4")

    assert halves == [0.5, 0.75]
    assert sim.events[-1].progress.nodes_progress == 1.0
    assert sim.events[-1].progress.nodes_skipped == ("1", "2")
    assert sim.events[-1].progress.nodes_done == ("1", "2", "3", "4")


@pytest.mark.parametrize(
    ("value", "most"),
    {
        "max 0": ("0", "0"),
        "NaN": ("NaN", "NaN"),
        "max NaN": ("3", "NaN"),
        "Infinity": ("Infinity", "10"),
        "minus Infinity": ("-Infinity", "10"),
        "max infinite": ("1", "Infinity"),
        "negative": ("-5", "10"),
        "beyond the end": ("11", "10"),
    }.values(),
    ids=str,
)
def test_progress_survives_any_numbers(running: Sim, value: str, most: str) -> None:
    running.feed(
        s.MessageReceived(
            f'{{"type": "progress", "data": {{"value": {value}, "max": {most}, '
            f'"prompt_id": "{PROMPT}", "node": "1"}}}}'
        )
    )

    assert 0 <= running.events[-1].progress.nodes_progress <= 1
    assert 0 <= running.events[-1]["node_progress"] <= 100
    assert not running.results


def test_progress_of_the_whole_never_falls(running: Sim) -> None:
    seen = []
    for value in (5, 9, 2, 10, 1):
        running.ours("progress", node="1", value=value, max=10)
        seen.append(running.events[-1].progress.nodes_progress)

    assert seen == sorted(seen)


KINDS = st.sampled_from(
    [
        ("execution_start", {"timestamp": 1}),
        ("execution_cached", {"nodes": ["1"], "timestamp": 1}),
        ("executing", {"node": "1", "display_node": "1"}),
        ("executing", {"node": None}),
        ("progress", {"node": "1", "value": 1, "max": 2}),
        ("progress_state", {"nodes": {}}),
        ("executed", {"node": "2", "display_node": "2", "output": None}),
        ("execution_success", {"timestamp": 1}),
        ("unheard_of", {"x": 1}),
    ]
)


HAPPENINGS = st.one_of(
    st.tuples(st.just("ours"), KINDS),
    st.tuples(st.just("foreign"), KINDS),
    st.tuples(st.just("wait"), st.floats(0, 8)),
    st.tuples(st.just("down"), st.none()),
    st.tuples(st.just("up"), st.none()),
    st.tuples(st.just("fail"), st.booleans()),
)


def happen(sim: Sim, what: str, detail: Any) -> None:
    if what == "ours":
        sim.ours(detail[0], **detail[1])
    elif what == "foreign":
        sim.ours(detail[0], OTHER, **detail[1])
    elif what == "wait":
        sim.wait(detail)
    elif what == "down" and sim.session.connected:
        sim.feed(s.SocketLost("x"))
    elif what == "up" and sim.session._connecting:
        sim.feed(s.SocketOpened())
    elif what == "fail":
        sim.failing = "500" if detail else None


@pytest.mark.slow
@given(
    st.lists(HAPPENINGS, max_size=30),
    st.sampled_from(["success", "error", "interrupted", None]),
)
def test_whatever_comes_in_whatever_order_there_is_one_outcome_and_it_is_the_true_one(
    happenings: list[tuple[str, Any]], truth: str | None
):
    sim = Sim(patience_s=1000.0)
    sim.accept()
    sim.runs()
    for what, detail in happenings:
        happen(sim, what, detail)
    early = list(sim.results)
    sim.failing = None
    sim.ends(entry(PROMPT, kind=truth, outputs={}) if truth else None)
    sim.wait(60)

    assert len(sim.results) == 1
    said_success = any(
        what == "ours" and detail[0] == "execution_success" for what, detail in happenings
    )
    expected = {"success"} if said_success else set()
    # Nothing told whether it ever ran: then the two cannot be told apart.
    expected |= {truth} if truth else {"lost", "cancelled"}
    assert sim.results[0].outcome in expected
    assert not early or said_success


# --- a server without a history of single prompts ------------------------------------------------


def test_where_the_server_cannot_say_what_frames_said_counts(running: Sim) -> None:
    running.can_say = False
    running.ours("execution_error", **{**ERROR, "exception_message": "only in the frame"})
    running.ends(None)

    assert running.wait_for_end(10.0) <= 5.0
    assert running.result.outcome is Outcome.ERROR
    assert "only in the frame" in running.result.reason


def test_a_server_that_cannot_say_does_not_make_a_prompt_that_runs_lost(running: Sim) -> None:
    running.can_say = False
    running.wait(120.0)

    assert not running.results


def test_what_left_the_queue_without_a_word_is_lost_after_the_patience(running: Sim) -> None:
    running.can_say = False
    running.ends(None)

    assert 10.0 <= running.wait_for_end(60.0) <= 40.0
    assert running.result.outcome is Outcome.LOST
    assert "no history" in running.result.reason
