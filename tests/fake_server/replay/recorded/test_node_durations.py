"""How long each class ran."""

from __future__ import annotations

from comfyrec.timeline import Timeline
from fake_server.replay.recorded.node_durations import seconds_by_class
from tests.support.timeline_samples import PROMPT, run, session


def test_a_class_runs_from_its_frame_to_the_next() -> None:
    timeline = Timeline.build(run(session()).end())

    # Frames are a millisecond apart: executing, executed, execution_success.
    assert seconds_by_class(timeline) == {"SaveImage": 0.002}


def test_a_prompt_that_never_ended_tells_of_the_nodes_before() -> None:
    recording = session()
    recording.request(2, "POST", "/prompt", {"prompt": {"1": {"class_type": "A"}}})
    recording.answer(2, {"prompt_id": PROMPT, "number": 0, "node_errors": {}})
    recording.says(1, "executing", node="1", prompt_id=PROMPT)

    assert seconds_by_class(Timeline.build(recording.end())) == {}
