"""Ids that are numbers: made by a server, chosen by a client, and numbers that are no ids."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay import replay_differences
from fake_server.replay.recorded.other_ids import other_ids_of
from tests.support.http_session import RECORDER, SECOND, Live, Recording

RENDERS = "/api/renders"


def render(number: int, status: str) -> dict[str, Any]:
    urls = {"self": f"{RENDERS}/{number}", "frames": f"http://{RECORDER}{RENDERS}/{number}/frames"}
    return {"id": number, "status": status, "urls": urls, "width": number, "steps": f"3/{number}"}


def recorded(number: int = 17) -> Timeline:
    """A render that is made, asked for, given a note, and listed."""
    made = Recording()
    conn = made.asks(1_000, f"POST {RENDERS}", {"scene": "a"})
    made.answers(conn, 2_000, render(number, "queued"), 201, Location=f"{RENDERS}/{number}")
    for t, status in ((10_000, "running"), (SECOND, "done")):
        conn = made.asks(t, f"GET {RENDERS}/{number}")
        made.answers(conn, t + 1_000, render(number, status))
    conn = made.asks(2 * SECOND, "POST /api/notes", {"render_id": number, "text": "fine"})
    made.answers(conn, 2 * SECOND + 1_000, {"render_id": number, "text": "fine"})
    conn = made.asks(3 * SECOND, f"GET {RENDERS}?limit=17")
    made.answers(conn, 3 * SECOND + 1_000, {"renders": [render(number, "done")], "limit": 17})
    conn = made.asks(4 * SECOND, "GET /api/workflow")
    made.answers(conn, 4 * SECOND + 1_000, {"nodes": [{"id": number, "type": "KSampler"}]})
    return made.timeline


def status_of(live: Live, number: int) -> str:
    told: str = live.json("GET", f"{RENDERS}/{number}")["status"]
    return told


def test_the_ids_are_found_and_what_is_about_them() -> None:
    found = other_ids_of(recorded(), ())

    assert found.minted == {0: ("17",)}
    assert set(found.numbers) == {0, 1, 2, 3, 4}
    assert list(found.all) == []


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("number", [3, 17, 9_007_199_254_740_993])
def test_the_first_client_has_the_recorded_number(number: int, strict: bool) -> None:
    live = Live(recorded(number), strict=strict)

    assert live.json("POST", RENDERS, {"scene": "a"}) == {
        **render(number, "queued"),
        "urls": {
            "self": f"{RENDERS}/{number}",
            "frames": f"http://localhost:9000{RENDERS}/{number}/frames",
        },
    }
    assert status_of(live, number) == "running"
    live.now = 2 * SECOND
    assert status_of(live, number) == "done"
    assert live.player.complaints == []


@pytest.mark.parametrize("strict", [False, True])
def test_the_next_client_has_one_of_its_own_and_everything_from_its_beginning(strict: bool) -> None:
    live = Live(recorded(), strict=strict)
    first = live.json("POST", RENDERS, {"scene": "a"})["id"]
    live.now = 2 * SECOND
    assert [status_of(live, first) for _ in range(2)] == ["done", "done"]

    exchange = live.ask("POST", RENDERS, {"scene": "a"})
    told = live.json("POST", RENDERS, {"scene": "a"})
    second, third = 1_000_017, told["id"]

    assert dict(live.answers[exchange].headers)["Location"] == f"{RENDERS}/{second}"
    assert len({first, second, third}) == 3
    assert told["urls"] == {
        "self": f"{RENDERS}/{third}",
        "frames": f"http://localhost:9000{RENDERS}/{third}/frames",
    }
    assert (told["width"], told["steps"]) == (17, "3/17")
    assert status_of(live, second) == "running"
    live.now += 2 * SECOND
    assert [status_of(live, one) for one in (first, second, third)] == ["done"] * 3
    noted = live.json("POST", "/api/notes", {"render_id": second, "text": "fine"})
    assert noted == {"render_id": second, "text": "fine"}
    assert live.player.complaints == []


def test_a_number_that_is_another_one_stays() -> None:
    live = Live(recorded())
    for _ in range(2):
        live.json("POST", RENDERS, {"scene": "a"})
    live.now = 9 * SECOND

    assert live.json("GET", f"{RENDERS}?limit=17")["limit"] == 17
    assert live.json("GET", "/api/workflow") == {"nodes": [{"id": 17, "type": "KSampler"}]}


def test_such_a_recording_replays_itself() -> None:
    assert replay_differences(recorded()) == []


def chosen(number: int) -> Timeline:
    made = Recording()
    conn = made.asks(1_000, "POST /api/uploads", {"upload_id": number})
    made.answers(conn, 2_000, {"upload_id": number, "state": "open"}, 201)
    conn = made.asks(SECOND, f"GET /api/uploads/{number}")
    made.answers(conn, SECOND + 1_000, {"upload_id": number, "state": "whole"})
    return made.timeline


@pytest.mark.parametrize("number, mine", [(17, 18), (123_456_789, 987_654_321)])
def test_a_number_that_a_client_chose_is_another_one_in_the_next_run(
    number: int, mine: int
) -> None:
    live = Live(chosen(number))

    opened = live.ask("POST", "/api/uploads", {"upload_id": mine})

    assert live.answers[opened].status == 201
    assert live.json("GET", f"/api/uploads/{mine}")["state"] == "whole"


def test_a_long_number_that_a_client_chose_is_in_its_answers() -> None:
    live = Live(chosen(123_456_789))

    told = live.json("POST", "/api/uploads", {"upload_id": 987_654_321})

    assert told == {"upload_id": 987_654_321, "state": "open"}
    assert live.json("GET", "/api/uploads/987654321")["upload_id"] == 987_654_321


def test_a_word_in_the_place_of_a_number_breaks_nothing() -> None:
    live = Live(chosen(123_456_789))

    assert live.json("POST", "/api/uploads", {"upload_id": "word-0001"})["state"] == "open"
