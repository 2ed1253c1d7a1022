"""A recording that is told as it grows: the same story and moments as of a whole timeline."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord
from comfyrec.timeline import Timeline
from comfyrec.timeline.live import Live, Told
from comfyrec.timeline.live_prompts import LivePrompt
from comfyrec.timeline.moments import Moment, moments_of
from comfyrec.timeline.story import Story, tell
from tests.support.timeline_samples import PROMPT, SERVER, Recording, run, session


def records_of(name: str) -> list[AnyRecord]:
    with open_cassette(find_cassette(name)) as reader:
        return list(reader)


def followed(records: list[AnyRecord]) -> tuple[Live, list[Told]]:
    live, told = Live(), []
    for record in records:
        told += live.take(record)
    return live, told + live.finish()


def with_late_numbers(live: Live, told: list[Told]) -> list[Moment]:
    """The moments; a POST has its prompt, which only its answer told."""
    numbers = dict(live.prompts.patches)
    moments = [
        replace(one.moment, prompt=numbers.get(one.moment.exchange or -1))
        if one.moment.type == "POST" and one.moment.words.endswith("/prompt")
        else one.moment
        for one in told
    ]
    return sorted(moments, key=lambda moment: moment.at)


def without_outputs(story: Story) -> Story:
    """Files are in the nodes that gave them; a story that is told live keeps no more."""
    return replace(story, prompts=tuple(replace(p, outputs={}) for p in story.prompts))


def unnamed(moment: Moment) -> Moment:
    """An id that the server mints is told in the first frame of a socket."""
    return replace(moment, words="") if moment.kind == "opened" else moment


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_it_tells_what_a_timeline_tells(name: str) -> None:
    records = records_of(name)
    timeline = Timeline.build(records)

    live, told = followed(records)

    assert live.story(whole=True) == without_outputs(tell(timeline))
    whole = [unnamed(moment) for moment in moments_of(timeline)]
    assert [unnamed(moment) for moment in with_late_numbers(live, told)] == whole


def test_events_of_an_answer_are_told_as_they_come() -> None:
    recording = session()
    recording.request(2, "GET", "/api/v2/jobs/1/events")
    recording.row(2, "text/event-stream", b"data: 1\n\ndata", b": 2\n\ndata: 3\n\n")
    records = recording.end()
    timeline = Timeline.build(records)

    live, told = followed(records)

    assert live.story(whole=True) == without_outputs(tell(timeline))
    assert live.story().events == 3
    moments = [one.moment for one in told]
    assert moments == moments_of(timeline)
    events = [moment for moment in moments if moment.kind == "event"]
    assert [moment.words for moment in events] == ["1", "2", "3"]
    assert events[0].at < events[1].at == events[2].at


@pytest.mark.slow
@pytest.mark.parametrize("name", ["execution-error", "two-clients", "reconnect-mid-run"])
def test_a_story_can_be_asked_for_at_any_time(name: str) -> None:
    records = records_of(name)
    live = Live()

    for count, record in enumerate(records, 1):
        live.take(record)
        part = tell(Timeline.build(records[:count]), whole=False)
        assert [p.outcome for p in live.story().prompts if p.outcome != "deleted"] == [
            p.outcome for p in part.prompts if p.outcome != "deleted"
        ]


def test_frames_that_come_before_the_answer_are_of_the_prompt_that_was_posted() -> None:
    recording = session()
    body = {"prompt": {"1": {"class_type": "EmptyImage", "inputs": {}}}, "client_id": "recorded"}
    recording.request(2, "POST", "/prompt", body)
    recording.says(1, "execution_start", prompt_id=PROMPT)
    recording.says(1, "executing", node="1", prompt_id=PROMPT)
    recording.answer(2, {"prompt_id": PROMPT, "number": 0})

    live, told = followed(recording.end())

    (prompt,) = live.story().prompts
    assert (prompt.prompt_id, prompt.client_id) == (PROMPT, "recorded")
    assert prompt.submitted_us is not None and prompt.started_us is not None
    assert [node.name for node in prompt.nodes] == ["EmptyImage 1"]
    assert "EmptyImage 1" in [one.moment.words for one in told]


def test_a_prompt_is_over_once_and_keeps_only_its_story() -> None:
    ended: list[LivePrompt] = []
    live = Live(ended=ended.append)
    recording = run(run(session()), prompt_id="second", conn=3)
    recording.wait(2_000_000)
    recording.asked(4, "GET", "/queue")

    for record in recording.records:
        live.take(record)

    assert [prompt.number for prompt in ended] == [0, 1]
    assert all(prompt.telling is None for prompt in ended)
    assert [story.outcome for story in live.story().prompts] == ["success", "success"]


def test_a_prompt_that_nobody_heard_of_ends_with_its_history() -> None:
    ended: list[LivePrompt] = []
    live = Live(ended=ended.append)
    recording = Recording()
    recording.asked(2, "POST", "/prompt", {"prompt": {}}, {"prompt_id": PROMPT})
    recording.asked(3, "GET", f"/history/{PROMPT}", b"", {})
    entry = {"outputs": {}, "status": {"status_str": "success", "messages": []}}
    recording.asked(4, "GET", f"/history/{PROMPT}", b"", {PROMPT: entry})

    for record in recording.records:
        live.take(record)

    assert [prompt.open.outcome for prompt in ended] == ["success"]


@pytest.mark.slow
def test_connections_that_ended_are_forgotten() -> None:
    live, recording = Live(), Recording()
    for conn in range(3_000):
        recording.asked(conn, "GET", "/queue")
        recording.closed(conn, SERVER)

    for record in recording.records:
        live.take(record)

    assert len(live._connections) < 1_100
    assert live.requests == 3_000


@pytest.mark.parametrize("under_way", [False, True])
def test_a_recording_that_just_goes_on_is_not_silent_unless_something_runs(
    under_way: bool,
) -> None:
    recording = run(session())
    if under_way:
        del recording.records[-3:]  # from the success on
    recording.wait(60_000_000)
    recording.frame(1, b"", opcode=8)
    recording.closed(1, SERVER)
    records = recording.end()

    whole, live = tell(Timeline.build(records)), followed(records)[0].story(whole=True)

    assert bool(whole.silences) is under_way
    assert live.silences == whole.silences


def test_an_idle_time_between_two_prompts_is_still_told() -> None:
    recording = run(session())
    recording.wait(60_000_000)
    run(recording, prompt_id="second", conn=3, number=1)

    assert tell(Timeline.build(recording.end())).silences
