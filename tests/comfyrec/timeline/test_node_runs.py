"""messages -> nodes: what several sockets hear counts once; old servers say no end of a node."""

from __future__ import annotations

from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import PROMPT, Recording, session

GRAPH = {
    "1": {"class_type": "A", "_meta": {"title": "My own"}},
    "2": {"class_type": "B", "_meta": {"title": "B"}},
}


def submitted() -> Recording:
    recording = session()
    body = {"prompt": GRAPH, "client_id": "recorded"}
    recording.asked(2, "POST", "/prompt", body, {"prompt_id": PROMPT, "number": 0})
    return recording


def test_without_progress_state_a_node_runs_until_the_next_one() -> None:
    recording = submitted()
    for node in ("1", "2", None):
        recording.says(1, "executing", node=node, prompt_id=PROMPT)
        recording.wait(9_000)

    first, second = tell(Timeline.build(recording.end())).prompts[0].nodes

    assert (first.name, first.duration_us) == ("My own (A 1)", 10_000)
    assert (second.name, second.duration_us) == ("B 2", 10_000)


def test_a_node_that_never_ended_has_no_duration() -> None:
    recording = submitted()
    recording.says(1, "executing", node="1", prompt_id=PROMPT)

    (only,) = tell(Timeline.build(recording.end()), whole=False).prompts[0].nodes

    assert (only.t_end, only.duration_us) == (None, None)


def test_a_frame_that_two_sockets_hear_counts_once() -> None:
    recording = submitted()
    recording.upgrade(3, "other")
    for node in ("1", "2"):
        for conn in (1, 3):
            recording.says(conn, "executing", node=node, prompt_id=PROMPT)

    nodes = tell(Timeline.build(recording.end()), whole=False).prompts[0].nodes

    assert [run.node_id for run in nodes] == ["1", "2"]


def test_a_node_that_runs_once_more_is_told_twice() -> None:
    recording = submitted()
    for value, state in ((0, "running"), (1, "finished"), (0, "running"), (1, "finished")):
        entry = {"value": value, "max": 1, "state": state, "node_id": "1", "prompt_id": PROMPT}
        recording.says(1, "progress_state", prompt_id=PROMPT, nodes={"1": entry})

    nodes = tell(Timeline.build(recording.end()), whole=False).prompts[0].nodes

    assert [run.duration_us for run in nodes] == [1_000, 1_000]
