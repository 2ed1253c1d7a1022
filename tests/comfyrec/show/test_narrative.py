"""A story in lines for a terminal: bars, lanes, silences, findings; filters."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.errors import UsageError
from comfyrec.show.narrative import narrative
from comfyrec.show.selection import Selection, microseconds
from comfyrec.show.text import plain
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import CLIENT, PROMPT, Recording, run, session


def lines_of(timeline: Timeline, **options: object) -> list[str]:
    found: Iterator[object] = narrative(timeline, tell(timeline), **options)  # type: ignore[arg-type]
    return [plain(one) for one in found]  # type: ignore[arg-type]


def timeline_of(name: str) -> Timeline:
    with open_cassette(find_cassette(name)) as reader:
        return Timeline.build(reader)


def test_the_outcome_comes_first_and_nodes_are_bars() -> None:
    lines = lines_of(timeline_of("fresh-run-previews"))

    assert lines[0] == "outcome   1 prompt: 1 succeeded"
    (sampler,) = [text for text in lines if text.startswith("  KSampler 3")]
    assert re.search(r"4\.79 s +=+ 4/4, 4 previews$", sampler)


def test_a_silence_stands_between_the_moments_around_it() -> None:
    lines = lines_of(timeline_of("fresh-run-previews"))

    (place,) = [n for n, text in enumerate(lines) if "3.63 s of silence" in text]
    assert "executing         CheckpointLoaderSimple 4" in lines[place - 1]
    assert "executing         EmptyLatentImage 5" in lines[place + 1]


def test_each_socket_has_a_lane() -> None:
    lines = lines_of(timeline_of("two-clients"))

    assert any(re.match(r" +0\.4483  \|\+ -> opened", text) for text in lines)
    assert any(re.match(r" +1\.5171   x -> closed", text) for text in lines)


def test_what_is_out_of_order_follows_the_frame_that_shows_it() -> None:
    recording = run(session())
    recording.says(1, "execution_success", prompt_id=PROMPT, timestamp=1)

    lines = lines_of(Timeline.build(recording.end()))

    (place,) = [n for n, text in enumerate(lines) if "!! phase" in text]
    assert "execution_success" in lines[place - 1]


def test_progress_is_gathered_unless_every_frame_is_asked_for() -> None:
    timeline = timeline_of("fresh-run-previews")

    gathered, every = lines_of(timeline), lines_of(timeline, every_frame=True)

    assert sum("<- preview " in text for text in every) == 4
    assert not any("<- preview " in text for text in gathered)
    assert any("(4 frames, 2 previews" in text for text in gathered)


FILTERS = {
    "type": (Selection(types=("execution_*",)), 9),
    "status of an answer": (Selection(types=("200",)), 6),
    "node id": (Selection(nodes=("3",), types=("exec*",)), 6),
    "class": (Selection(nodes=("GTBoom",), types=("executing",)), 2),
    "prompt": (Selection(prompts=("310f679b",), types=("execution_error",)), 1),
    "number of a prompt": (Selection(prompts=("#2",), types=("execution_error",)), 1),
    "client": (Selection(connections=("client-a",), types=("opened",)), 1),
    "time": (Selection(since_us=270_000, until_us=275_000, types=("execution_error",)), 1),
    "words": (Selection(grep=re.compile("deliberate")), 2),
}


@pytest.mark.parametrize("selection, count", FILTERS.values(), ids=FILTERS)
def test_filters_leave_what_fits(selection: Selection, count: int) -> None:
    lines = lines_of(timeline_of("execution-error"), selection=selection)

    assert len([text for text in lines if re.match(r" +\d+\.\d{4} ", text)]) == count


@pytest.mark.parametrize(
    "selection, sentence",
    [
        (Selection(prompts=("nobody",)), "--prompt nobody fits none: the recording has 1 prompt;"),
        (Selection(connections=("nobody",)), "there are: recorded"),
    ],
    ids=["prompt", "connection"],
)
def test_a_filter_that_names_nothing_says_what_there_is(
    selection: Selection, sentence: str
) -> None:
    timeline = Timeline.build(run(session()).end())

    with pytest.raises(UsageError, match=re.escape(sentence)):
        lines_of(timeline, selection=selection)


@pytest.mark.parametrize(
    "text, us", [("2.5", 2_500_000), ("800ms", 800_000), ("3min", 180_000_000), ("7us", 7)]
)
def test_times_have_units(text: str, us: int) -> None:
    assert microseconds(text, "--since") == us


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--since 'soon' is not a time"):
        microseconds("soon", "--since")


@pytest.mark.parametrize("name", bundled())
def test_every_bundled_cassette_is_told(name: str) -> None:
    timeline = timeline_of(name)

    text = "\n".join(lines_of(timeline))

    assert all(prompt.prompt_id[:8] in text for prompt in timeline.prompts[:12])


def test_a_recording_without_a_prompt_is_told() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/queue", answer={})

    lines = lines_of(Timeline.build(recording.end()))

    assert lines[0] == "outcome   0 prompts"


def test_a_job_of_which_answers_told_says_nothing_of_sockets_and_where_its_stream_was_cut() -> None:
    made = Recording()
    made.request(1, "POST", "/api/v2/jobs", {"workflow": {}})
    made.answer(1, {"id": PROMPT, "status": "queued"}, status=201)
    made.request(2, "GET", f"/api/v2/jobs/{PROMPT}/events")
    made.row(2, "text/event-stream", b'event: status\ndata: {"status": "running"}\n\n')
    made.records = made.records[:-1]
    made.closed(2, CLIENT)

    lines = lines_of(Timeline.build(made.end()))

    text = "\n".join(lines)
    assert f"prompt {PROMPT[:8]}" in text
    assert "nobody was told" not in text
    assert "the connection ended before the end of the answer" in text
