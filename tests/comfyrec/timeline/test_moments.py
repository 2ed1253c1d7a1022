"""timeline -> moments: one for each thing that happened, in order, in words."""

from __future__ import annotations

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import moments_of
from tests.support.timeline_samples import CLIENT, SERVER, Recording, run, session


def test_a_run_in_words() -> None:
    timeline = Timeline.build(run(session()).end())

    said = [(m.type, m.words) for m in moments_of(timeline)]

    assert said == [
        ("opened", "/ws?clientId=recorded as recorded"),
        ("status", "0 in the queue, you are recorded"),
        ("POST", "/prompt"),
        ("200", "POST /prompt: prompt c0ffee00-0000-4000-8000-000000000001 queued"),
        ("status", "1 in the queue"),
        ("status", "1 in the queue"),
        ("execution_start", "prompt c0ffee00-0000-4000-8000-000000000001"),
        ("execution_cached", "EmptyImage 1"),
        ("executing", "SaveImage 2"),
        ("executed", "SaveImage 2 a_1.png"),
        ("execution_success", "prompt c0ffee00-0000-4000-8000-000000000001"),
        ("status", "0 in the queue"),
        ("executing", "none: the prompt has left the executor"),
    ]


def test_progress_state_is_told_by_what_it_changed() -> None:
    with open_cassette(find_cassette("fresh-run-previews")) as reader:
        timeline = Timeline.build(reader)

    words = [m.words for m in moments_of(timeline) if m.type == "progress_state"]

    assert words[0] == "CheckpointLoaderSimple 4 running"
    assert "EmptyLatentImage 5 finished" in words
    assert any(text.startswith("KSampler 3 running 2/4") for text in words)


def test_what_went_wrong_is_marked() -> None:
    recording = session()
    recording.asked(2, "GET", "/nowhere")
    recording.request(3, "GET", "/queue")
    recording.answer(3, status=500)
    recording.closed(1, SERVER, "reset")

    bad = [m.type for m in moments_of(Timeline.build(recording.end())) if m.severity == "bad"]

    assert bad == ["500", "closed"]


def test_what_a_client_says_is_told_as_it_is() -> None:
    recording = Recording()
    recording.upgrade(1)
    recording.frame(1, b'{"type": "feature_flags", "data": {}}', side=CLIENT)
    recording.frame(1, b"\x00\x00\x00\x09", opcode=2)

    moments = moments_of(Timeline.build(recording.end()))

    assert [m.type for m in moments[1:]] == ["feature_flags", "binary 9"]


@pytest.mark.parametrize("name", bundled())
def test_every_message_and_exchange_is_a_moment(name: str) -> None:
    with open_cassette(find_cassette(name)) as reader:
        timeline = Timeline.build(reader)

    moments = moments_of(timeline)

    assert [m.at for m in moments] == sorted(m.at for m in moments)
    messages = sum(m.kind == "message" for m in moments)
    assert messages == sum(len(socket.messages) for socket in timeline.sockets)


def test_events_are_told_by_their_type_and_what_they_say() -> None:
    recording = Recording()
    recording.request(1, "GET", "/events")
    said = b'event: progress\ndata: {"job": "j1", "value": 0.5, "deep": {"a": [1]}}\n\n'
    recording.row(1, "text/event-stream", said, b": keepalive\n\n")
    recording.request(2, "GET", "/lines")
    recording.row(2, "application/x-ndjson", b'{"a": "' + b"x" * 100 + b'"}\nplain\n')

    told = [m for m in moments_of(Timeline.build(recording.end())) if m.kind == "event"]

    assert [(m.type, m.exchange) for m in told] == [("progress", 0), ("line", 1), ("line", 1)]
    assert told[0].words == 'job=j1 value=0.5 deep={"a": [1]}'
    assert told[1].words.startswith("a=xxx") and len(told[1].words) < 70
    assert told[2].words == "plain"


def test_what_is_compressed_is_not_read() -> None:
    recording = Recording()
    recording.request(1, "GET", "/events")
    recording.row(1, "text/event-stream\r\nContent-Encoding: gzip", b"data: 1\n\n")

    moments = moments_of(Timeline.build(recording.end()))

    assert [moment.kind for moment in moments] == ["request", "answer"]
