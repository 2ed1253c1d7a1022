"""Whose message is it, and when to reconnect: the session under virtual time."""

from __future__ import annotations

import json

import pytest

from comfyrec.client import session_inputs as s
from comfyrec.client.http.requests import Accepted
from comfyrec.client.result import Outcome
from tests.support.scripted_comfyui import entry
from tests.support.tracker_sim import ERROR, OTHER, PROMPT, SECOND, Sim, run_by_frames


def test_a_foreign_null_does_not_end_ours(running: Sim) -> None:
    running.ours("executing", OTHER, node=None)
    running.hear("executing", node=None)
    running.ours("execution_success", OTHER, timestamp=1)

    assert not running.results
    assert running.session.foreign == 2


@pytest.mark.parametrize("ending", ["execution_error", "execution_interrupted"])
def test_foreign_ends_are_not_ours(running: Sim, ending: str) -> None:
    running.ours(ending, OTHER, **ERROR)
    running.wait(4)

    assert not running.results
    assert ending not in running.types


def test_frames_that_come_before_the_answer_to_the_post_are_kept():
    sim = Sim()
    sim.feed(s.SubmitStarted())
    run_by_frames(sim)
    assert not sim.results

    sim.feed(s.PromptAccepted(Accepted(PROMPT, 0.0, {}), ("1", "2")))

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


def test_interleaved_prompts_of_one_client_each_get_their_own_frames(accepted: Sim) -> None:
    accepted.accept(OTHER)

    accepted.start()
    accepted.ours("executing", node="1", display_node="1")
    accepted.start(OTHER)
    accepted.ours("executing", OTHER, node="2", display_node="2")
    accepted.ends(entry(OTHER, outputs={"9": {"text": ["b"]}}), OTHER)
    accepted.ours("executing", OTHER, node=None)
    accepted.ends(entry(PROMPT))
    accepted.ours("executing", node=None)

    assert [r.prompt_id for r in accepted.results] == [OTHER, PROMPT]
    assert [list(r.outputs) for r in accepted.results] == [["9"], ["2"]]


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
def test_malformed_frames_are_skipped_and_the_run_goes_on(running: Sim, frame: str | bytes) -> None:
    running.feed(s.MessageReceived(frame))
    run_by_frames(running)

    assert running.result.outcome is Outcome.SUCCESS


def test_several_objects_in_one_text_frame_are_taken_one_by_one(accepted: Sim) -> None:
    accepted.runs()
    parts = [
        {"type": "execution_start", "data": {"prompt_id": PROMPT, "timestamp": 1}},
        {"type": "executing", "data": {"prompt_id": PROMPT, "node": "1", "display_node": "1"}},
    ]

    accepted.feed(s.MessageReceived("\n".join(map(json.dumps, parts))))

    assert accepted.types == ["submitted", "execution_start", "executing"]
    assert accepted.events[-1].data["node"] == "1"


def test_a_lost_socket_asks_the_history_at_once_and_connects_again(running: Sim) -> None:
    running.ends(entry(PROMPT))

    running.feed(s.SocketLost("1006"))

    assert running.result.outcome is Outcome.SUCCESS
    assert running.result.detected_by == "history"


def test_an_end_that_fell_into_the_gap_is_found_right_after_the_reconnect(running: Sim) -> None:
    running.feed(s.SocketLost("1006"))
    running.wait(0.3)
    running.ends(entry(PROMPT))

    running.feed(s.SocketOpened())

    assert running.result.outcome is Outcome.SUCCESS


def test_the_client_id_stays_while_a_prompt_is_watched_and_changes_otherwise(
    running: Sim,
) -> None:
    running.feed(s.SocketLost("1006"))
    running.wait(1)
    ids = [a.client_id for a in running.actions if isinstance(a, s.Connect)]
    assert ids == ["client-0", "client-0"]

    running.feed(s.SocketOpened())
    running.ends(entry(PROMPT))
    running.ours("executing", node=None)
    running.feed(s.SocketLost("1006"))
    running.wait(11)

    assert [a.client_id for a in running.actions if isinstance(a, s.Connect)][2] == "client-1"


def test_reconnects_back_off_even_when_each_is_accepted_and_closed_at_once(running: Sim) -> None:
    begun = running.now
    while running.now < begun + 60 * SECOND:
        if running.session.connected:
            running.feed(s.SocketLost("1011"))
        elif running.session._connecting:
            running.feed(s.SocketOpened())
        else:
            running.wait(0.1)

    assert 6 <= running.count(s.Connect) <= 15


def test_refused_reconnects_back_off_and_the_prompt_still_ends(running: Sim) -> None:
    running.feed(s.SocketLost("reset"))
    for _ in range(600):
        running.wait(0.1)
        if running.session._connecting:
            running.feed(s.ConnectFailed("the socket was refused with 403"))
    assert 5 <= running.count(s.Connect) <= 15

    running.ends(entry(PROMPT))
    running.wait_for_end(6)

    assert running.result.outcome is Outcome.SUCCESS


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


def test_a_socket_that_speaks_about_ours_is_not_opened_once_more(running: Sim) -> None:
    running.feed(s.SocketLost("1006"))
    running.wait(0.3)
    running.feed(s.SocketOpened())
    running.ours("progress", node="1", value=1, max=2)

    running.wait(60)

    assert running.count(s.Disconnect) == 0


def test_without_any_socket_the_history_is_asked_without_waiting_for_the_idle_limit():
    sim = Sim(connected=False)
    sim.feed(s.ConnectFailed("403"))
    sim.accept()
    sim.runs()
    sim.wait(1)
    sim.ends(entry(PROMPT))

    assert sim.wait_for_end(5) < 4
