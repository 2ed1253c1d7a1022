"""What Comfy API v2 says of a job: told as a prompt is, live and of a whole recording alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from comfyrec.cassette.records import AnyRecord
from comfyrec.timeline import Timeline
from comfyrec.timeline.jobs import JobMessages, job_place
from comfyrec.timeline.live import Live
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.moments import moments_of
from comfyrec.timeline.story import PromptStory, Story, tell
from tests.support.timeline_samples import GRAPH, Recording

JOB = "c0ffee00-0000-4000-8000-00000000000a"
MADE = "2026-01-01T00:00:01+00:00"
PICTURE = {"node_id": "2", "name": "a_1.png", "type": "image", "id": "x"}


def job(status: str, **more: Any) -> dict[str, Any]:
    links = {name: f"/api/v2/jobs/{JOB}/{name}" for name in ("self", "events", "cancel")}
    return {"id": JOB, "status": status, "created_at": MADE, "urls": links, "outputs": [], **more}


def submitted(root: str = "/api/v2/jobs") -> Recording:
    recording = Recording()
    recording.request(1, "POST", root, {"workflow": GRAPH})
    recording.answer(1, job("queued"), status=201)
    return recording


def asked(recording: Recording, state: dict[str, Any], root: str = "/api/v2/jobs") -> Recording:
    recording.wait(2_000_000)
    recording.asked(len(recording.records) + 9, "GET", f"{root}/{JOB}", b"", state)
    return recording


def sse(*events: tuple[str, dict[str, Any]]) -> list[bytes]:
    return [f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode() for kind, data in events]


def heard(recording: Recording, *events: tuple[str, dict[str, Any]]) -> Recording:
    recording.request(2, "GET", f"/api/v2/jobs/{JOB}/events")
    recording.row(2, "text/event-stream", *sse(*events))
    return recording


def story_of(records: list[AnyRecord]) -> Story:
    """Of the whole; a recording that is told while it grows tells the same, but for what happened
    in a silence, which an answer after it may tell."""
    whole = tell(Timeline.build(records))
    live = Live()
    for record in records:
        live.take(record)
    live.finish()
    bare = replace(whole, prompts=tuple(replace(one, outputs={}) for one in whole.prompts))
    assert replace(live.story(whole=True), silences=()) == replace(bare, silences=())
    return whole


def only(recording: Recording) -> PromptStory:
    (prompt,) = story_of(recording.end()).prompts
    return prompt


def test_a_job_that_was_listened_to_is_told_with_its_nodes_and_files() -> None:
    prompt = only(
        heard(
            submitted(),
            ("status", {"status": "running"}),
            ("progress", {"current_node": "1", "step": 1, "steps": 4}),
            ("preview", {"node_id": "1", "content_type": "image/png", "data_base64": "AA=="}),
            ("output", PICTURE),
            ("progress", {"current_node": None, "nodes_done": 2}),
            ("status", {"status": "succeeded", "outputs": [PICTURE]}),
        )
    )

    assert (prompt.prompt_id, prompt.outcome, prompt.previews) == (JOB, "success", 1)
    assert [run.name for run in prompt.nodes] == ["EmptyImage 1", "SaveImage 2"]
    assert [(run.t is None, run.t_end is None) for run in prompt.nodes] == [(False, False)] * 2
    assert (prompt.nodes[0].value, prompt.nodes[0].max, prompt.nodes[0].previews) == (1, 4, 1)
    assert [file.filename for file in prompt.nodes[1].files] == ["a_1.png"]
    assert prompt.outputs["2"]["images"][0]["filename"] == "a_1.png"
    assert prompt.heard == ()
    assert None not in (prompt.submitted_us, prompt.started_us, prompt.ended_us)


@pytest.mark.parametrize("root", ["/api/v2/jobs", "/deployment/dep-1/api/v2/jobs"])
def test_the_times_of_a_job_that_was_only_asked_for_are_those_of_its_server(root: str) -> None:
    times = {"started_at": "2026-01-01T00:00:01.25Z", "completed_at": "2026-01-01T00:00:02.5Z"}
    recording = asked(submitted(root), job("succeeded", outputs=[PICTURE], **times), root)

    prompt = only(recording)

    assert prompt.outcome == "success"
    assert (prompt.run_us, prompt.queue_wait_us) == (1_250_000, 251_000)
    assert list(prompt.outputs) == ["2"]


def test_without_times_of_the_server_those_of_the_answers_are_told() -> None:
    recording = asked(asked(submitted(), job("running")), job("succeeded", completed_at="soon"))

    assert only(recording).run_us == 2_002_000


def test_a_failure_is_told_in_the_words_of_the_server_even_if_they_come_later() -> None:
    why = {"code": "node_execution_error", "message": "boom", "node_id": "1", "traceback": "a\nb"}
    recording = heard(submitted(), ("status", {"status": "failed"}))

    prompt = only(asked(recording, job("failed", error=why)))

    assert prompt.outcome == "error"
    assert prompt.failure is not None
    assert (prompt.failure.exception_type, prompt.failure.message) == (why["code"], "boom")
    assert prompt.failure.traceback == ("a\n", "b")


def test_a_job_is_interrupted_when_it_ran_and_deleted_when_it_waited() -> None:
    ran = only(asked(asked(submitted(), job("running")), job("canceled", started_at=MADE)))
    waited = only(asked(submitted(), job("canceled")))

    assert (ran.outcome, waited.outcome) == ("interrupted", "deleted")


def test_what_is_told_again_counts_once() -> None:
    end = job("succeeded", outputs=[PICTURE])
    recording = heard(submitted(), ("output", PICTURE), ("output", PICTURE), ("status", end))

    prompt = only(asked(asked(recording, end), end))

    assert [len(run.files) for run in prompt.nodes] == [1]


def test_a_job_that_was_made_before_is_told_from_what_was_asked() -> None:
    prompt = only(asked(Recording(), job("running")))

    assert (prompt.submitted_us, prompt.outcome) == (None, "")


def test_jobs_of_others_in_a_list_are_not_told() -> None:
    recording = submitted()
    other = {"id": "other", "status": "failed"}
    mine = {"id": JOB, "status": "succeeded"}
    recording.asked(2, "GET", "/api/v2/jobs?limit=2", b"", {"jobs": [other, mine]})

    assert only(recording).outcome == "success"


def test_a_job_that_was_refused_is_a_refusal() -> None:
    recording = Recording()
    recording.request(1, "POST", "/api/v2/jobs", {"workflow": GRAPH})
    said = {"errors": [{"message": "not in list", "details": "x"}], "class_type": "KSampler"}
    error = {"code": "invalid_workflow", "message": "bad", "details": {"node_errors": {"4": said}}}
    recording.answer(1, {"error": error}, status=422)

    (refusal,) = story_of(recording.end()).refusals

    assert (refusal.status, refusal.words) == (422, "bad; KSampler 4: not in list: x")


def test_events_are_moments_of_their_job() -> None:
    records = heard(submitted(), ("status", {"status": "running"})).end()
    timeline = Timeline.build(records)

    event = next(moment for moment in moments_of(timeline) if moment.kind == "event")

    assert timeline.prompts == ()
    assert [one.prompt_id for one in timeline.all_prompts] == [JOB]
    assert timeline.all_prompts[0].graph == GRAPH
    assert event.prompt == 0


@pytest.mark.parametrize(
    "data", ["null", "[]", '{"status": 7}', '{"outputs": [null, {"node_id": 3}]}', "{", '"x"']
)
@pytest.mark.parametrize("kind", ["status", "progress", "preview", "output", "log"])
def test_no_event_is_too_strange(kind: str, data: str) -> None:
    told = JobMessages(JOB).event(kind, data, 1, 2)

    assert {data_of(one.data)["prompt_id"] for one in told if isinstance(one.data, str)} <= {JOB}


def test_only_paths_of_jobs_are_of_jobs() -> None:
    assert job_place("/v2/jobs") == ("", "")
    assert job_place("/x/api/v2/jobs/7/events") == ("7", "events")
    assert job_place("/jobs/7") is job_place("/v2/userdata") is job_place("/x/v2/jobs") is None
