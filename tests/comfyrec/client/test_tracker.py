"""Done, silent or lost? The quiet core under virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client import session as s
from comfyrec.client.result import Outcome
from tests.support.scripted_comfyui import OUTPUTS, entry
from tests.support.tracker_sim import OTHER, PROMPT, SECOND, Sim


def run_by_frames(sim: Sim) -> None:
    sim.start()
    sim.ours("executing", node="1", display_node="1")
    sim.ours("executing", node="2", display_node="2")
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT))
    sim.hear("status", status={"exec_info": {"queue_remaining": 0}})
    sim.ours("executing", node=None)


ERROR = {
    "node_id": "1",
    "node_type": "EmptyImage",
    "exception_message": "out of paint\n",
    "exception_type": "ValueError",
    "traceback": ["line 1\n"],
    "executed": [],
    "current_inputs": {},
    "current_outputs": [],
}

# --- the end, by frames -----------------------------------------------------------------------


def test_list_2_point_02_a_run_with_frames_ends_by_frames_and_carries_no_marker():
    sim = Sim()
    sim.accept()

    run_by_frames(sim)

    assert sim.result.outcome is Outcome.SUCCESS
    assert sim.result.detected_by == "frames"
    assert sim.result.outputs == OUTPUTS
    assert sim.types[0] == "submitted"
    assert sim.types[-1] == "completed"
    assert "detected_by" not in sim.events[-1]


def test_an_ordinary_run_asks_the_history_once_and_the_queue_never():
    sim = Sim()
    sim.accept()

    run_by_frames(sim)

    assert (sim.count(s.GetHistory), sim.count(s.GetQueue)) == (1, 0)


def test_a_prompt_of_an_old_server_ends_with_the_null_alone():
    sim = Sim()
    sim.accept()

    sim.start()
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)

    assert sim.result.outcome is Outcome.SUCCESS
    assert sim.result.detected_by == "frames"


def test_a_prompt_ends_with_the_success_alone_when_the_null_never_comes():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT))

    assert sim.wait_for_end(0.2) <= 0.1

    assert sim.result.outcome is Outcome.SUCCESS


def test_a_history_that_lags_behind_the_success_is_asked_again():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("execution_success", timestamp=2)
    sim.wait(1.0)
    sim.ends(entry(PROMPT))

    assert sim.wait_for_end(1.0) <= 0.8

    assert sim.result.outputs == OUTPUTS


def test_an_entry_whose_outputs_lag_behind_is_asked_again():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT, outputs={}))
    sim.wait(0.3)
    sim.ends(entry(PROMPT))

    sim.wait_for_end(1.0)

    assert sim.result.outputs == OUTPUTS


def test_outputs_that_never_reach_the_history_come_from_the_frames():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT, outputs={}))

    sim.wait_for_end(3.0)

    assert sim.result.outputs == OUTPUTS


def test_a_watched_success_whose_entry_was_evicted_is_a_success_with_a_warning():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(None)

    assert sim.wait_for_end(5.0) < 4.5

    assert sim.result.outcome is Outcome.SUCCESS
    assert "no entry" in sim.result.warnings[0]


# --- errors -----------------------------------------------------------------------------------


def test_an_error_is_remembered_when_the_null_comes_behind_it():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours("execution_error", **ERROR)
    sim.ends(entry(PROMPT, kind="error", outputs={}, **ERROR))
    sim.ours("executing", node=None)

    assert sim.result.outcome is Outcome.ERROR
    assert sim.result.reason == "node 1 (EmptyImage): ValueError: out of paint"
    assert sim.result.detected_by == "frames"


def test_a_blocked_output_is_not_the_end_and_becomes_a_warning():
    sim = Sim()
    sim.accept()
    sim.start()
    blocked = {
        **ERROR,
        "exception_type": "ExecutionBlocked",
        "exception_message": "Execution Blocked: no mask",
        "traceback": [],
        "current_inputs": [],
    }

    sim.ours("execution_error", **blocked)
    assert not sim.results
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)

    assert sim.result.outcome is Outcome.SUCCESS
    assert "no mask" in sim.result.warnings[0]


def test_a_dependency_cycle_is_an_error_although_the_history_says_success():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours("execution_error", **{**ERROR, "exception_type": "graph.DependencyCycleError"})
    sim.ends(entry(PROMPT, outputs={}))
    sim.ours("executing", node=None)

    assert sim.result.outcome is Outcome.ERROR


def test_history_that_says_error_beats_a_frame_that_says_success():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours("execution_success", timestamp=1)
    sim.ends(entry(PROMPT, kind="error", outputs={}, **ERROR))
    sim.ours("executing", node=None)

    assert sim.result.outcome is Outcome.ERROR


def test_list_2_point_05_an_error_found_in_the_history_ends_at_once_and_is_marked():
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.ends(entry(PROMPT, kind="error", outputs={}, **ERROR))

    assert sim.wait_for_end(5.1) == pytest.approx(5.0, abs=0.1)

    assert sim.result.outcome is Outcome.ERROR
    assert sim.events[-1].type == "error"
    assert sim.events[-1]["detected_by"] == "history"
    assert sim.events[-1].raw == {"type": "history_completed", "data": sim.history[PROMPT]}
    assert "out of paint" in sim.result.reason


def test_an_interrupt_is_told_apart_from_an_error():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours("execution_interrupted", node_id="1", node_type="EmptyImage", executed=[])
    sim.ends(entry(PROMPT, kind="interrupted", outputs={}, node_id="1", node_type="EmptyImage"))
    sim.ours("executing", node=None)

    assert sim.result.outcome is Outcome.INTERRUPTED
    assert sim.result.reason == "interrupted at node 1 (EmptyImage)"


def test_partial_outputs_of_an_error_are_kept():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours("execution_error", **ERROR)
    sim.ends(entry(PROMPT, kind="error", **ERROR))
    sim.ours("executing", node=None)

    assert sim.result.outputs == OUTPUTS


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
def test_entries_of_other_servers_are_understood(status: Any, outcome: Outcome):
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.ends({"outputs": OUTPUTS, "status": status})

    sim.wait_for_end(6)

    assert sim.result.outcome is outcome


# --- silence ----------------------------------------------------------------------------------


def test_list_2_point_03_a_marked_event_holds_the_entry_and_its_parts():
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.ends(entry(PROMPT))

    sim.wait_for_end(6)
    last, item = sim.events[-1], sim.history[PROMPT]

    assert last.type == "completed"
    assert last["detected_by"] == last.detected_by == "history"
    assert last["raw"] == {"type": "history_completed", "data": item}
    assert {k: last.data[k] for k in ("status", "outputs", "meta", "prompt")} == {
        k: item[k] for k in ("status", "outputs", "meta", "prompt")
    }


def test_parts_that_an_entry_does_not_have_are_absent_from_the_marked_event():
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.ends({"outputs": {}})

    sim.wait_for_end(6)

    assert set(sim.events[-1].data) == {"outputs"}


@pytest.mark.parametrize("frames", range(4))
def test_list_2_point_04_silence_after_n_frames_ends_by_the_history_at_the_idle_limit(frames: int):
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

    assert sim.count(s.GetHistory) > 0


def test_a_long_quiet_node_is_waited_for_and_asked_after_ever_less_often():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.wait(600)

    assert not sim.results
    assert 100 < sim.count(s.GetHistory) < 150
    sim.ends(entry(PROMPT))
    sim.wait_for_end(5.1)
    assert sim.result.outcome is Outcome.SUCCESS


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


# --- gone -------------------------------------------------------------------------------------


def test_list_2_point_06_a_deleted_pending_prompt_ends_as_cancelled():
    sim = Sim()
    sim.accept()
    sim.wait(6)
    sim.ends(None)
    sim.hear("status", status={"exec_info": {"queue_remaining": 0}})

    assert sim.wait_for_end(6) < 5

    assert sim.result.outcome is Outcome.CANCELLED


def test_list_2_point_06_a_forgotten_prompt_ends_as_lost():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ends(None)

    assert sim.wait_for_end(12) < 10

    assert sim.result.outcome is Outcome.LOST


def test_a_prompt_that_is_gone_after_the_server_refused_connections_is_lost():
    sim = Sim()
    sim.accept()
    sim.feed(s.SocketLost("reset"))
    sim.failing, sim.refused = "refused", True
    sim.wait(2)
    sim.failing = None
    sim.ends(None)

    sim.wait_for_end(10)

    assert sim.result.outcome is Outcome.LOST


def test_a_server_that_never_answers_again_makes_it_lost_within_the_patience():
    sim = Sim(patience_s=10.0)
    sim.accept()
    sim.start()
    sim.failing, sim.refused = "Connection refused", True
    sim.feed(s.SocketLost("reset"))

    assert sim.wait_for_end(16) < 15.5

    assert sim.result.outcome is Outcome.LOST
    assert "Connection refused" in sim.result.reason


def test_failing_questions_are_counted_and_a_few_of_them_do_no_harm():
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.failing = "500"
    sim.wait(8)
    sim.failing = None
    sim.ends(entry(PROMPT))

    sim.wait_for_end(6)

    assert sim.result.outcome is Outcome.SUCCESS


def test_a_prompt_between_queue_and_history_is_not_given_up():
    """It ends just between the question for the history and the one for the queue."""
    sim = Sim()
    sim.answering = False
    sim.accept()
    sim.runs()
    sim.wait(5.5)
    sim.feed(s.HistoryReceived(PROMPT, None))
    sim.ends(entry(PROMPT))
    sim.feed(s.QueueReceived(s.Queued((), ())))
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


# --- whose frame is it ------------------------------------------------------------------------


def test_list_2_point_07_a_foreign_null_does_not_end_ours():
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours("executing", OTHER, node=None)
    sim.hear("executing", node=None)
    sim.ours("execution_success", OTHER, timestamp=1)

    assert not sim.results
    assert sim.session.foreign == 2


@pytest.mark.parametrize("ending", ["execution_error", "execution_interrupted"])
def test_foreign_ends_are_not_ours(ending: str):
    sim = Sim()
    sim.accept()
    sim.start()

    sim.ours(ending, OTHER, **ERROR)
    sim.wait(4)

    assert not sim.results
    assert ending not in sim.types


def test_frames_that_come_before_the_answer_to_the_post_are_kept():
    sim = Sim()
    sim.feed(s.SubmitStarted())
    run_by_frames(sim)
    assert not sim.results

    sim.feed(s.PromptAccepted(s.Accepted(PROMPT, 0.0, {}), ("1", "2")))

    assert sim.result.outcome is Outcome.SUCCESS
    assert sim.types[:3] == ["submitted", "execution_start", "execution_cached"]


def test_kept_frames_are_bounded_and_forgotten_with_the_post():
    sim = Sim()
    sim.feed(s.SubmitStarted())
    for n in range(6_000):
        sim.ours("progress", OTHER, node=str(n), value=1, max=2)
    assert len(sim.session._early) <= 4_096

    sim.feed(s.SubmitFailed())

    assert not sim.session._early


def test_interleaved_prompts_of_one_client_each_get_their_own_frames():
    sim = Sim()
    sim.accept()
    sim.accept(OTHER)

    sim.start()
    sim.ours("executing", node="1", display_node="1")
    sim.start(OTHER)
    sim.ours("executing", OTHER, node="2", display_node="2")
    sim.ends(entry(OTHER, outputs={"9": {"text": ["b"]}}), OTHER)
    sim.ours("executing", OTHER, node=None)
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)

    assert [r.prompt_id for r in sim.results] == [OTHER, PROMPT]
    assert [list(r.outputs) for r in sim.results] == [["9"], ["2"]]


BAD_FRAMES = {
    "not json": "{",
    "an array": "[1, 2]",
    "no type": '{"data": {}}',
    "a torn binary header": b"\x00",
    "an unknown binary kind": b"\x00\x00\x00\x4dabc",
    "data null": '{"type": "executing", "data": null}',
    "data a list": '{"type": "execution_start", "data": [1]}',
    "an unknown type": '{"type": "crystools.monitor", "data": {"cpu": NaN}}',
    "a preview": b"\x00\x00\x00\x01\x00\x00\x00\x01\xff\xd8",
    "nothing": "",
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_malformed_frames_are_skipped_and_the_run_goes_on(frame: str | bytes):
    sim = Sim()
    sim.accept()
    sim.start()

    sim.feed(s.MessageReceived(frame))
    run_by_frames(sim)

    assert sim.result.outcome is Outcome.SUCCESS


def test_several_objects_in_one_text_frame_are_taken_one_by_one():
    sim = Sim()
    sim.accept()
    sim.runs()
    parts = [
        {"type": "execution_start", "data": {"prompt_id": PROMPT, "timestamp": 1}},
        {"type": "executing", "data": {"prompt_id": PROMPT, "node": "1", "display_node": "1"}},
    ]

    sim.feed(s.MessageReceived("\n".join(map(json.dumps, parts))))

    assert sim.types == ["submitted", "execution_start", "executing"]
    assert sim.events[-1].data["node"] == "1"


def test_list_3_point_11_execution_complete_is_an_old_name_of_success():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ours("execution_complete")
    sim.ends(entry(PROMPT))

    sim.wait_for_end(0.2)

    assert sim.result.outcome is Outcome.SUCCESS
    assert sim.result.detected_by == "frames"


# --- progress ---------------------------------------------------------------------------------


def test_list_2_point_13_progress_counts_cached_nodes_and_never_exceeds_one():
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
def test_list_2_point_13_progress_survives_any_numbers(value: str, most: str):
    sim = Sim()
    sim.accept()
    sim.start()

    sim.feed(
        s.MessageReceived(
            f'{{"type": "progress", "data": {{"value": {value}, "max": {most}, '
            f'"prompt_id": "{PROMPT}", "node": "1"}}}}'
        )
    )

    assert 0 <= sim.events[-1].progress.nodes_progress <= 1
    assert 0 <= sim.events[-1]["node_progress"] <= 100
    assert not sim.results


def test_progress_of_the_whole_never_falls():
    sim = Sim()
    sim.accept()
    sim.start()
    seen = []
    for value in (5, 9, 2, 10, 1):
        sim.ours("progress", node="1", value=value, max=10)
        seen.append(sim.events[-1].progress.nodes_progress)

    assert seen == sorted(seen)


# --- sockets ----------------------------------------------------------------------------------


def test_a_lost_socket_asks_the_history_at_once_and_connects_again():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.ends(entry(PROMPT))

    sim.feed(s.SocketLost("1006"))

    assert sim.result.outcome is Outcome.SUCCESS
    assert sim.result.detected_by == "history"


def test_an_end_that_fell_into_the_gap_is_found_right_after_the_reconnect():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.feed(s.SocketLost("1006"))
    sim.wait(0.3)
    sim.ends(entry(PROMPT))

    sim.feed(s.SocketOpened())

    assert sim.result.outcome is Outcome.SUCCESS


def test_the_same_id_is_kept_while_a_prompt_is_watched_and_a_new_one_taken_otherwise():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.feed(s.SocketLost("1006"))
    sim.wait(1)
    ids = [a.client_id for a in sim.actions if isinstance(a, s.Connect)]
    assert ids == ["client-0", "client-0"]

    sim.feed(s.SocketOpened())
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)
    sim.feed(s.SocketLost("1006"))
    sim.wait(11)

    assert [a.client_id for a in sim.actions if isinstance(a, s.Connect)][2] == "client-1"


def test_reconnects_back_off_even_when_each_is_accepted_and_closed_at_once():
    sim = Sim()
    sim.accept()
    sim.start()
    begun = sim.now
    while sim.now < begun + 60 * SECOND:
        if sim.session.connected:
            sim.feed(s.SocketLost("1011"))
        elif sim.session._connecting:
            sim.feed(s.SocketOpened())
        else:
            sim.wait(0.1)

    assert 6 <= sim.count(s.Connect) <= 15


def test_refused_reconnects_back_off_and_the_prompt_still_ends():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.feed(s.SocketLost("reset"))
    for _ in range(600):
        sim.wait(0.1)
        if sim.session._connecting:
            sim.feed(s.ConnectFailed("the socket was refused with 403"))
    assert 5 <= sim.count(s.Connect) <= 15

    sim.ends(entry(PROMPT))
    sim.wait_for_end(6)

    assert sim.result.outcome is Outcome.SUCCESS


def test_a_reconnected_socket_that_stays_silent_is_opened_once_more():
    """The server dropped the new registration when it saw the old socket close (W6)."""
    sim = Sim()
    sim.accept()
    sim.start()
    sim.feed(s.SocketLost("1006"))
    sim.wait(0.3)
    sim.feed(s.SocketOpened())

    sim.wait(12)

    assert sim.count(s.Disconnect) == 1


def test_a_socket_that_speaks_about_ours_is_not_opened_once_more():
    sim = Sim()
    sim.accept()
    sim.start()
    sim.feed(s.SocketLost("1006"))
    sim.wait(0.3)
    sim.feed(s.SocketOpened())
    sim.ours("progress", node="1", value=1, max=2)

    sim.wait(60)

    assert sim.count(s.Disconnect) == 0


def test_without_any_socket_the_history_is_asked_without_waiting_for_the_idle_limit():
    sim = Sim(connected=False)
    sim.feed(s.ConnectFailed("403"))
    sim.accept()
    sim.runs()
    sim.wait(1)
    sim.ends(entry(PROMPT))

    assert sim.wait_for_end(5) < 4


# --- any order of anything --------------------------------------------------------------------

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
