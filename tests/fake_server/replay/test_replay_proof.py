"""Every recording that there is, replayed to its own clients: nothing is missing or differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyrec.cassette.files import bundled
from comfyrec.cassette.import_capture import records_of_capture
from comfyrec.timeline import Timeline
from fake_server.replay import Player, replay_differences
from fake_server.source import Action, Happened, Respond, Response, Send
from tests.support.paths import SHARED
from tests.support.replay_rig import records_of, timeline_of
from tests.support.timeline_samples import OUTPUT, PROMPT, SERVER, Recording, run, session

CAPTURES = SHARED / "recordings"
CAPTURED = sorted(CAPTURES.glob("*/*.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_a_bundled_cassette_replays_itself(name: str) -> None:
    assert replay_differences(timeline_of(name)) == []


@pytest.mark.slow
@pytest.mark.skipif(not CAPTURED, reason="the captures of real servers are not here")
@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_capture_of_a_real_server_replays_itself(path: Path) -> None:
    with path.open("rb") as lines:
        timeline = Timeline.build(records_of_capture(lines))

    assert replay_differences(timeline) == []


def two_sessions() -> Recording:
    """A recording that was continued: another socket, another client, the same ids of nodes."""
    recording = run(session())
    recording.closed(1, SERVER)
    recording.upgrade(5, "second")
    recording.status(5, 0, sid="second")
    return run(
        recording, client_id="second", socket=5, conn=6, number=1,
        prompt_id="c0ffee00-0000-4000-8000-000000000002",
    )  # fmt: skip


def refused_first() -> Recording:
    recording = Recording()
    recording.upgrade(9, "recorded", status=503)
    recording.upgrade(1, "recorded")
    recording.status(1, 0, sid="recorded")
    return run(recording)


def polled() -> Recording:
    """Nobody listens; the history is looked at until the prompt is in it."""
    entry = {"prompt": [0, "p1", {}, {}, ["2"]], "outputs": {"2": OUTPUT}, "status": {}}
    recording = Recording()
    recording.asked(1, "POST", "/prompt", {"prompt": {"1": {}}}, {"prompt_id": "p1", "number": 0})
    for conn, answer in enumerate([{}, {}, {"p1": entry}], 2):
        recording.wait(250_000)
        recording.asked(conn, "GET", "/history/p1", answer=answer)
    return recording


def short_ids() -> Recording:
    """A client id and a prompt id that are words, and node ids, at the same time."""
    return run(session("1"), client_id="1", prompt_id="2")


def nested(depth: int) -> Recording:
    """Requests, answers and messages that no honest peer sends."""
    deep = b"[" * depth + b"]" * depth
    said = b'{"type": "executed", "data": {"node": "2", "prompt_id": "%b", "output": %b}}'
    recording = run(session())
    recording.frame(1, said % (PROMPT.encode(), deep))
    recording.frame(1, b'{"type": "odd", "data": %b}' % deep)
    recording.asked(3, "POST", "/prompt", b'{"prompt": {"1": %b}, "client_id": "x"}' % deep, deep)
    recording.asked(4, "POST", "/queue", deep, b'{"%b": %b}' % (PROMPT.encode(), deep))
    return recording


MADE = {
    "two clients, one after the other": two_sessions,
    "an upgrade that was refused, and then not": refused_first,
    "a client that only asks": polled,
    "ids that are node ids": short_ids,
    "no record at all": Recording,
    "what nests deeply": lambda: nested(300),
    "what nests as deeply as Python reads": lambda: nested(900),
    "what nests more deeply": lambda: nested(5_000),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_recording_replays_itself(make: object) -> None:
    assert callable(make)

    assert replay_differences(Timeline.build(make().end())) == []


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0.2, 0.4, 0.6, 0.8, 0.95])
@pytest.mark.parametrize("name", bundled())
def test_a_recording_that_was_cut_off_replays_what_there_is(name: str, cut: float) -> None:
    records = records_of(name)

    timeline = Timeline.build(records[: round(len(records) * cut)])

    assert replay_differences(timeline) == []


class Forgetful(Player):
    """Loses its last frame, and answers with what it likes."""

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        for action in super().handle(happened, now):
            if isinstance(action, Send) and "execution_success" in str(action.message):
                continue
            if isinstance(action, Respond) and b'"outputs"' in action.answer.body:
                action = Respond(action.exchange, Response(200, (), b"{}"))
            yield action


def test_the_proof_tells_frames_that_are_missing_and_answers_that_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = run(session())
    entry = {PROMPT: {"prompt": [0, PROMPT, {}, {}, []], "outputs": {}, "status": {}}}
    recording.asked(3, "GET", f"/history/{PROMPT}", answer=entry)
    timeline = Timeline.build(recording.end())
    assert replay_differences(timeline) == []

    monkeypatch.setattr("fake_server.replay.self_check.Player", Forgetful)
    found = " ".join(replay_differences(timeline))

    assert "10 messages were recorded, 9 were replayed" in found
    assert "GET /history" in found
