"""What recorded answers show of a prompt, and what follows for its life."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay.recorded.prompt_states import Lifecycle, lifecycles_of
from fake_server.replay.recorded.sightings import Moments, Sighting, count_waiting, sightings_of
from tests.support.timeline_samples import Recording

SECOND = 1_000_000
ITEM: list[Any] = [0, "p1", {}, {}, []]
OTHER: list[Any] = [1, "p2", {}, {}, []]
RUNNING = {"queue_running": [ITEM], "queue_pending": [OTHER]}
FIRST_GONE = {"queue_running": [OTHER], "queue_pending": []}
EMPTY = {"queue_running": [], "queue_pending": []}


def submitted(*prompt_ids: str) -> Recording:
    recording = Recording()
    for number, prompt_id in enumerate(prompt_ids):
        answer = {"prompt_id": prompt_id, "number": number}
        recording.asked(10 + number, "POST", "/prompt", {"prompt": {"1": {}}}, answer)
    return recording


def asked(recording: Recording, target: str, *answers: Any) -> list[int]:
    """The places of questions, a second apart, that were answered so."""
    places = []
    for conn, answer in enumerate(answers, 100 + len(recording.records)):
        recording.wait(SECOND)
        places.append(len(recording.records))
        recording.asked(conn, "GET", target, answer=answer)
    return places


ANSWERS = {
    "history": ("/history/p1", [{}, {}, {"p1": {}}]),
    "the whole history": ("/history", [{}, {}, {"p1": {}}]),
    "the end of the history": ("/history?max_items=2", [{"x": {}}, {"x": {}, "y": {}}]),
    "a part of the history": ("/history?max_items=9&offset=1", [{"x": {}}]),
    "queue": ("/queue", [RUNNING, RUNNING, FIRST_GONE]),
    "a job": ("/api/jobs/p1", [{"id": "p1", "status": s} for s in ("pending", "in_progress")]),
    "a job that is over": ("/api/jobs/p1", [{"id": "p1", "status": "failed"}]),
    "jobs": ("/api/jobs", [{"jobs": [{"id": "p1", "status": "in_progress"}]}, {"jobs": []}]),
    "what is no answer of ours": ("/api/jobs/p1", [[], {"id": 1}, {"id": "p1", "status": 3}]),
}
SEEN = {
    "history": lambda at: Sighting(absent=at[1], present=at[2]),
    "the whole history": lambda at: Sighting(absent=at[1], present=at[2]),
    "the end of the history": lambda at: Sighting(absent=at[0]),
    "a part of the history": lambda _: None,
    "queue": lambda at: Sighting(waiting=at[1], gone=at[2]),
    "a job": lambda at: Sighting(pending=at[0], waiting=at[1]),
    "a job that is over": lambda at: Sighting(present=at[0]),
    "jobs": lambda at: Sighting(waiting=at[0]),
    "what is no answer of ours": lambda _: None,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_answers_show(name: str) -> None:
    recording = submitted("p1", "p2")
    target, answers = ANSWERS[name]
    places = asked(recording, target, *answers)

    found = sightings_of(Timeline.build(recording.end()))

    assert found.get("p1") == SEEN[name](places)


def count(remaining: int) -> dict[str, Any]:
    return {"exec_info": {"queue_remaining": remaining}}


def test_of_fewer_that_wait_the_oldest_are_gone() -> None:
    recording = submitted("p1", "p2", "p3")
    places = asked(recording, "/prompt", count(3), count(1), count(0))
    timeline = Timeline.build(recording.end())
    found: dict[str, Sighting] = {}

    count_waiting(timeline, found, [None, None, None])

    assert [found[i].gone for i in ("p1", "p2", "p3")] == [places[1], places[1], places[2]]
    assert [found[i].waiting for i in ("p1", "p2", "p3")] == [places[0], places[0], places[1]]


def test_of_more_that_wait_than_were_submitted_nothing_is_known() -> None:
    recording = submitted("p1")
    asked(recording, "/prompt", count(3), count(2))
    timeline = Timeline.build(recording.end())
    found: dict[str, Sighting] = {}

    count_waiting(timeline, found, [None])

    assert found["p1"] == Sighting()


def test_a_prompt_whose_end_frames_tell_is_not_counted() -> None:
    recording = submitted("p1", "p2")
    places = asked(recording, "/prompt", count(2), count(1), count(0))
    timeline = Timeline.build(recording.end())
    found: dict[str, Sighting] = {}

    count_waiting(timeline, found, [places[0] + 1, None])

    assert (found["p1"].gone, found["p2"].gone) == (None, places[2])


def lives(recording: Recording) -> list[Lifecycle]:
    return lifecycles_of(Timeline.build(recording.end()))[0]


def test_an_end_between_two_questions_lies_in_the_middle() -> None:
    recording = submitted("p1")
    places = asked(recording, "/history/p1", {}, {"p1": {}})
    times = [recording.records[at].t for at in places]

    (life,) = lives(recording)

    assert life.ended is not None and life.ended_t is not None
    assert places[0] <= life.ended[0] < places[1]
    assert life.ended_t == sum(times) // 2


def test_the_next_prompt_begins_when_the_one_before_it_ends() -> None:
    recording = submitted("p1", "p2")
    asked(recording, "/queue", RUNNING, FIRST_GONE, EMPTY)

    first, second = lives(recording)

    assert (second.started, second.started_t) == (first.ended, first.ended_t)
    assert second.ended_t is not None and second.ended_t > (second.started_t or 0)


def test_a_prompt_that_was_seen_to_wait_began_later() -> None:
    recording = submitted("p1")
    jobs = [{"id": "p1", "status": s} for s in ("pending", "in_progress", "completed")]
    places = asked(recording, "/api/jobs/p1", *jobs)

    (life,) = lives(recording)

    assert life.started is not None and life.ended is not None
    assert places[0] <= life.started[0] < places[1] <= life.ended[0] < places[2]


def test_an_interrupted_prompt_ends_behind_the_interrupt() -> None:
    recording = submitted("p1")
    asked(recording, "/history/p1", {})
    recording.wait(SECOND * 9 // 10)
    stopped = len(recording.records)
    recording.asked(90, "POST", "/interrupt")
    recording.wait(SECOND // 10)
    status = {"status_str": "error", "messages": [["execution_interrupted", {}]]}
    recording.asked(91, "GET", "/history/p1", answer={"p1": {"status": status}})

    (life,) = lives(recording)

    assert life.ended is not None and life.ended[0] > stopped
    assert life.interrupted_by is not None


def forgotten(recording: Recording, conn: int) -> int:
    """The place of a request to forget p1, a second later."""
    recording.wait(SECOND)
    recording.asked(conn, "POST", "/history", {"delete": ["p1"]})
    return len(recording.records) - 2


def test_what_was_forgotten_before_anybody_saw_its_end_was_over_by_then() -> None:
    recording = submitted("p1", "p2")
    at = forgotten(recording, 80)
    asked(recording, "/queue", FIRST_GONE)
    asked(recording, "/history/p1", {})

    life, _ = lives(recording)

    assert life.ended is not None and life.ended[0] < at


def test_what_was_not_over_when_it_was_to_be_forgotten_is_found_later() -> None:
    recording = submitted("p1", "p2")
    at = forgotten(recording, 80)
    asked(recording, "/queue", RUNNING, FIRST_GONE)
    asked(recording, "/history/p1", {"p1": {}})

    life, _ = lives(recording)

    assert life.ended is not None and life.ended[0] > at


def test_an_absence_behind_a_request_to_forget_leaves_a_fall_of_the_queue_what_it_is() -> None:
    recording = Recording()
    recording.upgrade(1)
    recording.status(1, 0, sid="recorded")
    recording.asked(10, "POST", "/prompt", {"prompt": {"1": {}}}, {"prompt_id": "p1", "number": 0})
    recording.status(1, 1)
    fell = len(recording.records)
    recording.status(1, 0)
    forgotten(recording, 80)
    asked(recording, "/history/p1", {})

    (life,) = lives(recording)

    assert life.ended is not None and life.ended[0] == fell


def test_a_cleared_queue_tells_of_all_its_prompts_at_once() -> None:
    recording = Recording()
    recording.upgrade(1)
    recording.status(1, 0, sid="recorded")
    for number, remaining in enumerate((1, 2, 3)):
        answer = {"prompt_id": f"p{number}", "number": number}
        recording.asked(10 + number, "POST", "/prompt", {"prompt": {"1": {}}}, answer)
        recording.status(1, remaining)
    recording.says(1, "progress_state", prompt_id="p0", nodes={})
    recording.asked(20, "POST", "/queue", {"clear": True})
    recording.status(1, 1)
    recording.wait(SECOND)
    fell = len(recording.records)
    recording.status(1, 0)

    running, *waiting = lives(recording)

    assert running.ended is not None and running.ended[0] == fell
    assert all(one.deleted_by is not None for one in waiting)


def test_what_was_over_is_not_taken_off_the_queue() -> None:
    recording = submitted("p1")
    at = len(recording.records)
    asked(recording, "/queue", EMPTY)
    recording.asked(90, "POST", "/queue", {"delete": ["p1"]})

    (life,) = lives(recording)

    assert life.deleted_by is None
    assert life.ended is not None and life.ended[0] <= at


def test_a_queue_that_was_asked_before_the_submission_was_answered_tells_of_it() -> None:
    recording = Recording()
    recording.upgrade(1)
    recording.status(1, 0, sid="recorded")
    recording.request(2, "POST", "/prompt", {"prompt": {"1": {}}, "client_id": "recorded"})
    at = len(recording.records)
    recording.request(3, "GET", "/queue")
    recording.answer(2, {"prompt_id": "p1", "number": 0})
    recording.says(1, "execution_start", prompt_id="p1")
    recording.answer(3, {"queue_running": [ITEM], "queue_pending": []})
    recording.says(1, "execution_success", prompt_id="p1")
    recording.status(1, 0)

    (life,) = lives(recording)

    assert life.started is not None and life.started < (at, 0)


def test_the_middle_of_no_time_is_the_record_before() -> None:
    recording = submitted("p1")
    timeline = Timeline.build(recording.end())

    assert Moments(timeline).between(1, 2) == (1, (recording.records[1].t * 2 + 1_000) // 2)
    assert Moments(timeline).between(-1, 1)[0] == -1
    assert Moments(Timeline()).between(-1, 5) == (-1, 0)
