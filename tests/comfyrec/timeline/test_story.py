"""timeline -> story: outcomes, nodes, waits, who listened, what is out of order."""

from __future__ import annotations

import msgspec
import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.timeline import Timeline
from comfyrec.timeline.live import Live
from comfyrec.timeline.story import Story, tell
from tests.support.timeline_samples import PROMPT, SERVER, Recording, run, session


def story_of(name: str) -> Story:
    with open_cassette(find_cassette(name)) as reader:
        return tell(Timeline.build(reader))


def told(recording: Recording) -> Story:
    return tell(Timeline.build(recording.end()))


def test_a_run_is_told_with_its_wait_its_nodes_and_who_heard_it() -> None:
    story = told(run(session()))

    (prompt,) = story.prompts
    cached, ran = prompt.nodes
    assert (prompt.outcome, prompt.queue_wait_us, prompt.run_us) == ("success", 4_000, 4_000)
    assert (cached.name, cached.cached, cached.duration_us) == ("EmptyImage 1", True, None)
    assert (ran.name, ran.cached, ran.duration_us) == ("SaveImage 2", False, 2_000)
    assert [file.filename for file in ran.files] == ["a_1.png"]
    assert [(heard.socket, heard.frames) for heard in prompt.heard] == [(0, 6)]
    assert story.findings == ()


def test_nodes_that_run_at_once_are_told_by_progress_state() -> None:
    story = story_of("async-nodes")

    sleeps = [run for run in story.prompts[0].nodes if run.class_type == "TestSleep"]
    assert [round(run.duration_us or 0, -4) for run in sleeps] == [520_000, 320_000]
    assert sleeps[1].t is not None and sleeps[0].t_end is not None
    assert sleeps[1].t < sleeps[0].t_end


@pytest.mark.parametrize("name", ["fresh-run-previews", "fresh-run-preview-metadata"])
def test_previews_belong_to_the_node_that_sent_them(name: str) -> None:
    (prompt,) = story_of(name).prompts

    (sampler,) = [run for run in prompt.nodes if run.previews]
    assert (sampler.class_type, sampler.value) == ("KSampler", sampler.max)
    assert sampler.previews == prompt.previews > 0


def test_a_failure_has_the_words_of_the_server() -> None:
    failed = story_of("execution-error").prompts[0]

    assert failed.outcome == "error"
    assert failed.failure is not None
    assert str(failed.failure) == "GTBoom 3: ValueError: deliberate failure"
    assert failed.failure.traceback


def test_a_blocked_output_is_no_failure_of_the_prompt() -> None:
    (prompt,) = story_of("execution-blocked").prompts

    assert prompt.outcome == "success"
    assert prompt.failure is not None and prompt.failure.blocked


def test_a_refusal_names_the_node_and_what_is_wrong_with_it() -> None:
    words = [refusal.words for refusal in story_of("validation-errors").refusals]

    assert any("Prompt has no outputs" in text for text in words)
    assert any("KSampler" in text or "EmptyImage" in text for text in words)


def test_a_prompt_whose_socket_opens_later_is_found() -> None:
    recording = Recording()
    recording.asked(2, "POST", "/prompt", {"prompt": {}, "client_id": "late"}, {"prompt_id": "p"})
    recording.upgrade(1, "late")
    recording.status(1, 0, sid="late")

    (finding,) = told(recording).findings

    assert finding.kind == "unheard"
    assert "posted before its socket was open: that came 2.0 ms later" in finding.sentence


def test_a_prompt_whose_client_never_listened_is_found() -> None:
    recording = Recording()
    recording.asked(2, "POST", "/prompt", {"prompt": {}, "client_id": "mute"}, {"prompt_id": "p"})

    (finding,) = told(recording).findings

    assert finding.sentence == "prompt p named client mute, which had no socket"


def test_a_frame_out_of_order_is_found_at_its_place() -> None:
    recording = run(session())
    recording.says(1, "execution_success", prompt_id=PROMPT, timestamp=1)

    finding = told(recording).findings[0]

    assert finding.severity == "breaks"
    assert finding.at == len(recording.records) - 2
    assert "against the rule" in finding.sentence


def test_a_cut_socket_and_an_unanswered_request_are_found() -> None:
    recording = session()
    recording.request(2, "GET", "/queue")
    recording.closed(1, SERVER, "reset")
    recording.closed(2, SERVER, "reset")

    kinds = {finding.kind for finding in told(recording).findings}

    assert kinds == {"cut", "unanswered"}


def test_asking_again_and_again_is_polling() -> None:
    recording = session()
    for conn in range(2, 9):
        recording.asked(conn, "GET", f"/history/{PROMPT}", answer={})
        recording.wait(498_000)

    (poll,) = told(recording).polls

    assert (poll.route, poll.count, poll.interval_us) == ("GET /history/{id}", 7, 500_000)


def test_a_silence_says_what_ran_meanwhile() -> None:
    silences = story_of("fresh-run-previews").silences

    longest = max(silences, key=lambda silence: silence.duration_us)
    assert longest.during == "VAEDecode 8 ran"


@pytest.mark.parametrize("name", bundled())
def test_no_real_server_breaks_a_rule(name: str) -> None:
    story = story_of(name)

    assert [f for f in story.findings if f.severity == "breaks"] == []
    assert msgspec.json.decode(msgspec.json.encode(story))["version"] == 1


def test_a_recording_of_nothing_has_a_story() -> None:
    story = tell(Timeline.build([]))

    assert (story.prompts, story.sockets, story.findings) == ((), (), ())


@pytest.mark.parametrize(
    "about, stated", [({"comfyui_version": "0.27.0"}, True), ({}, False)], ids=["said", "guessed"]
)
def test_it_is_told_whether_the_server_said_its_version(
    about: dict[str, str], stated: bool
) -> None:
    assert told(run(session(**about))).version_stated is stated


SAID = {"exception_message": "boom"}


@pytest.mark.parametrize(
    "path, answer, outcome, words",
    [
        (f"/api/job/{PROMPT}/status", {"status": "executing"}, "", None),
        (f"/api/job/{PROMPT}/status", {"status": "success"}, "success", None),
        (
            f"/api/job/{PROMPT}/status",
            {"status": "error", "error_message": "boom"},
            "error",
            "boom",
        ),
        (f"/api/job/{PROMPT}/status", {"status": "cancelled"}, "interrupted", None),
        (f"/api/jobs/{PROMPT}", {"status": "completed", "outputs": {"9": {}}}, "success", None),
        (f"/api/jobs/{PROMPT}", {"status": "failed", "execution_error": SAID}, "error", "boom"),
        ("/api/jobs/x/status", [], "", None),
        (
            "/api/history_v2",
            {"history": [{"prompt_id": PROMPT, "status": {"status_str": "success"}}, None]},
            "success",
            None,
        ),
    ],
)
def test_an_end_may_be_told_by_a_job(
    path: str, answer: object, outcome: str, words: str | None
) -> None:
    recording = Recording()
    recording.asked(1, "POST", "/api/prompt", {"prompt": {}}, {"prompt_id": PROMPT})
    recording.asked(2, "GET", path, b"", answer)
    live = Live()
    for record in recording.end():
        live.take(record)
    live.finish()

    for story in (told(recording), live.story(whole=True)):
        (prompt,) = story.prompts
        assert prompt.outcome == outcome
        assert words is None or str(prompt.failure) == words
