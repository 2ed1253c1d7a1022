from __future__ import annotations

import pytest

from comfyrec.flight.verdict import Verdict, judge
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import CLIENT, PROMPT, SERVER, Recording, run, session


def judged(recording: Recording, *, whole: bool = True) -> Verdict:
    timeline = Timeline.build(recording.end())
    return judge(timeline, tell(timeline, whole=whole), whole=whole)


def started() -> Recording:
    recording = session()
    recording.asked(
        2, "POST", "/prompt", {"prompt": {}, "client_id": "recorded"}, {"prompt_id": PROMPT}
    )
    recording.status(1, 1)
    recording.says(1, "execution_start", prompt_id=PROMPT)
    recording.says(1, "execution_cached", prompt_id=PROMPT, nodes=[])
    return recording


def test_a_good_session_has_no_reason_to_stay() -> None:
    recording = run(session())
    recording.frame(1, b"\x03\xe8", side=CLIENT, opcode=8)
    recording.closed(1, CLIENT)

    assert judged(recording) == Verdict()


def test_an_error_names_its_prompt() -> None:
    recording = started()
    recording.says(
        1, "execution_error", prompt_id=PROMPT, node_id="1", node_type="A", executed=[],
        exception_message="no", exception_type="ValueError", traceback=[], current_inputs={},
        current_outputs=[], timestamp=1,
    )  # fmt: skip
    recording.status(1, 0)
    recording.says(1, "executing", node=None, prompt_id=PROMPT)

    verdict = judged(recording)

    assert "error" in verdict.reasons
    assert verdict.prompts == {PROMPT}


@pytest.mark.parametrize("status, body", [(400, {"error": {}}), (500, b"Server got itself")])
def test_a_refused_prompt_and_a_broken_server_are_errors(status: int, body: object) -> None:
    recording = Recording()
    recording.request(2, "POST", "/prompt", {})
    recording.answer(2, body, status=status)

    assert judged(recording).reasons == ("error",)


def test_a_prompt_without_an_end_is_a_silence_unless_the_part_was_cut() -> None:
    assert "silence" in judged(started()).reasons
    assert judged(started(), whole=False) == Verdict()


def test_a_long_pause_while_something_runs_is_a_silence() -> None:
    recording = started()
    recording.says(1, "executing", node="2", display_node="2", prompt_id=PROMPT)
    recording.wait(61_000_000)
    recording.says(1, "execution_success", prompt_id=PROMPT, timestamp=2)
    recording.status(1, 0)
    recording.says(1, "executing", node=None, prompt_id=PROMPT)

    assert judged(recording).reasons == ("silence",)


def test_a_pause_while_nothing_runs_is_not() -> None:
    recording = run(session())
    recording.wait(600_000_000)
    recording.asked(3, "GET", "/queue", answer={})

    assert judged(recording) == Verdict()


@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_a_socket_that_is_gone_before_the_end_is_a_disconnect(side: object) -> None:
    recording = started()
    recording.closed(1, side)  # type: ignore[arg-type]

    assert "disconnect" in judged(recording, whole=False).reasons


def test_a_broken_rule_is_a_violation() -> None:
    recording = started()
    recording.says(1, "execution_start", prompt_id=PROMPT)

    assert "violation" in judged(recording, whole=False).reasons
