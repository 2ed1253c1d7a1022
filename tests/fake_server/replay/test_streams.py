"""A session over HTTP with an event stream: time, ids, addresses, interruption, resumption."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.cassette.records import Side
from comfyrec.timeline import Timeline
from fake_server.replay import replay_differences
from fake_server.replay.recorded.other_ids import other_ids_of
from fake_server.source import RequestAborted
from tests.support.http_session import RECORDER, SECOND, Live, Recording

JOB, KEY = "job_01HQ7Z3K9", "idem-0000-1111"
STORAGE = "storage.example:443"
EVENTS = 6


def event(number: int, status: str = "running") -> bytes:
    data = json.dumps({"job": JOB, "n": number, "status": status, "at": f"http://{RECORDER}/x"})
    return f"id: {number}\nevent: progress\ndata: {data}\n\n".encode()


def job(status: str = "queued") -> dict[str, Any]:
    urls = {"events": f"http://{RECORDER}/api/v2/jobs/{JOB}/events", "self": f"/api/v2/jobs/{JOB}"}
    outputs = [{"url": f"https://{STORAGE}/made.png?sig=abc"}]
    return {"id": JOB, "status": status, "urls": urls, "outputs": outputs, "hash": "h4sh-00000001"}


def recorded(*, cancelled: bool = False, cut: Side | None = None) -> Timeline:
    """A job that is submitted and watched: an event each half second, from the head on."""
    made = Recording()
    conn = made.asks(1_000, "POST /api/v2/jobs", {"workflow": {}}, Idempotency_Key=KEY)
    made.answers(conn, 2_000, job(), 201, Location=f"http://{RECORDER}/api/v2/jobs/{JOB}")
    conn = made.asks(10_000, f"GET /api/v2/jobs/{JOB}/events")
    made.streams(conn, 11_000)
    for number in range(1, EVENTS + 1):
        t = 11_000 + number * SECOND // 2
        if cancelled and number == 4:
            cancel = made.asks(t - 100_000, f"POST /api/v2/jobs/{JOB}/cancel")
            made.answers(cancel, t - 90_000, job("canceling"))
        if cut is not None and number == 4:
            made.cuts(conn, t, cut)
            break
        made.says(conn, t, event(number, "canceled" if cancelled and number > 3 else "running"))
    else:
        made.says(conn, 11_000 + 3 * SECOND, b"", last=True)
    if cut is not None:
        conn = made.asks(3 * SECOND, f"GET /api/v2/jobs/{JOB}/events", Last_Event_ID="3")
        made.streams(conn, 3 * SECOND + 1_000)
        made.says(conn, 4 * SECOND, event(4))
        made.says(conn, 5 * SECOND, b"", last=True)
    conn = made.asks(6 * SECOND, f"GET /api/v2/jobs/{JOB}")
    made.answers(conn, 6 * SECOND + 1_000, job("completed"))
    conn = made.asks(7 * SECOND, "GET /made.png?sig=abc", Host=STORAGE)
    made.answers(conn, 7 * SECOND + 1_000, {"picture": 1})
    return made.timeline


def test_events_come_at_their_recorded_distances() -> None:
    live = Live(recorded())
    mine = live.submitted()
    live.now = 7 * SECOND
    stream = live.ask("GET", f"/api/v2/jobs/{mine}/events")
    live.run()

    assert live.times(stream) == [(7 + n / 2, n) for n in range(1, EVENTS + 1)]
    assert live.ended[stream] == (10 * SECOND, "whole")


def test_the_idle_time_limit_holds_for_streams() -> None:
    live = Live(recorded(), idle_time_limit_us=100_000)
    stream = live.ask("GET", f"/api/v2/jobs/{live.submitted()}/events")
    live.run()

    assert live.times(stream) == [(n / 10, n) for n in range(1, EVENTS + 1)]


@pytest.mark.parametrize("strict", [False, True])
def test_ids_and_addresses_are_the_live_ones_everywhere(strict: bool) -> None:
    live = Live(recorded(), strict=strict)
    exchange = live.ask("POST", "/api/v2/jobs", {"workflow": {}}, Idempotency_Key="mine-0000-2222")
    answer = live.answers[exchange]
    told = json.loads(answer.body)
    mine = told["id"]
    stream = live.ask("GET", f"/api/v2/jobs/{mine}/events")
    live.run()

    assert mine != JOB
    assert told["urls"] == {
        "events": f"http://localhost:9000/api/v2/jobs/{mine}/events",
        "self": f"/api/v2/jobs/{mine}",
    }
    assert dict(answer.headers)["Location"] == f"http://localhost:9000/api/v2/jobs/{mine}"
    assert told["hash"] == job()["hash"]
    assert {said["job"] for _, said in live.events(stream)} == {mine}
    assert {said["at"] for _, said in live.events(stream)} == {"http://localhost:9000/x"}
    done = live.json("GET", f"/api/v2/jobs/{mine}")
    link = done["outputs"][0]["url"]
    assert done["status"] == "completed"
    assert link == "http://localhost:9000/made.png?sig=abc"
    assert live.json("GET", link.removeprefix("http://localhost:9000")) == {"picture": 1}
    assert live.player.complaints == []


def test_addresses_have_the_scheme_of_the_replay() -> None:
    live = Live(recorded(), host="replay.example")
    told = live.json("POST", "/api/v2/jobs", {"workflow": {}}, secure=True)

    assert told["urls"]["events"].startswith("https://replay.example/api/")


def test_the_same_key_is_the_same_job_and_another_client_has_another() -> None:
    live = Live(recorded())
    first = live.submitted(Idempotency_Key="mine-0000-2222")
    again = live.submitted(Idempotency_Key="mine-0000-2222")
    other = live.submitted(Idempotency_Key="mine-0000-3333")
    streams = [live.ask("GET", f"/api/v2/jobs/{one}/events") for one in (first, other)]
    live.run()

    assert first == again != other
    for mine, stream in zip((first, other), streams, strict=True):
        assert {said["job"] for _, said in live.events(stream)} == {mine}
        assert len(live.times(stream)) == EVENTS


def test_a_cancel_that_comes_early_puts_an_end_to_what_came_before_it() -> None:
    live = Live(recorded(cancelled=True))
    mine = live.submitted()
    stream = live.ask("GET", f"/api/v2/jobs/{mine}/events")
    live.run(until=600_000)
    assert live.times(stream) == [(0.5, 1)]

    live.ask("POST", f"/api/v2/jobs/{mine}/cancel")
    live.run()

    assert live.times(stream) == [(0.5, 1), (0.6, 2), (0.6, 3), (0.7, 4), (1.2, 5), (1.7, 6)]


def test_what_follows_a_cancel_waits_for_it_but_not_for_ever() -> None:
    live = Live(recorded(cancelled=True))
    stream = live.ask("GET", f"/api/v2/jobs/{live.submitted()}/events")
    live.run(until=10 * SECOND)
    assert [number for _, number in live.times(stream)] == [1, 2, 3]

    live.lose_patience()
    live.run()

    assert [number for _, number in live.times(stream)] == [1, 2, 3, 4, 5, 6]
    assert live.ended[stream][1] == "whole"


def test_a_stream_that_the_server_cut_is_cut_and_goes_on_for_who_comes_back() -> None:
    live = Live(recorded(cut=Side.SERVER))
    mine = live.submitted()
    stream = live.ask("GET", f"/api/v2/jobs/{mine}/events")
    live.run(until=3 * SECOND)
    assert [number for _, number in live.times(stream)] == [1, 2, 3]
    assert live.ended[stream] == (2 * SECOND, "cut")

    following = live.ask("GET", f"/api/v2/jobs/{mine}/events", Last_Event_ID="3")
    live.run()

    assert [number for _, number in live.times(following)] == [4]
    assert live.ended[following][1] == "whole"


def test_a_client_that_does_not_leave_where_the_recorded_one_did_is_let_go() -> None:
    live = Live(recorded(cut=Side.CLIENT))
    stream = live.ask("GET", f"/api/v2/jobs/{live.submitted()}/events")
    live.run()
    assert stream not in live.ended

    live.lose_patience()

    assert live.ended[stream][1] == "cut"


def test_who_was_cut_off_elsewhere_gets_what_follows() -> None:
    live = Live(recorded())
    mine = live.submitted()
    first = live.ask("GET", f"/api/v2/jobs/{mine}/events")
    live.run(until=1_200_000)
    live.feed(RequestAborted(first))
    second = live.ask("GET", f"/api/v2/jobs/{mine}/events", Last_Event_ID="2")
    live.run()

    assert [number for _, number in live.times(first)] == [1, 2]
    assert live.times(second) == [(1.7, 3), (2.2, 4), (2.7, 5), (3.2, 6)]


@pytest.mark.parametrize(
    "how", [{}, {"cancelled": True}, {"cut": Side.SERVER}, {"cut": Side.CLIENT}]
)
def test_such_a_recording_replays_itself(how: dict[str, Any]) -> None:
    assert replay_differences(recorded(**how)) == []


def test_the_head_of_what_a_get_was_answered() -> None:
    live = Live(recorded(), strict=True)
    mine = live.submitted()
    whole = live.answers[live.ask("GET", f"/api/v2/jobs/{mine}")]
    head = live.answers[live.ask("HEAD", f"/api/v2/jobs/{mine}")]

    assert (head.status, head.headers) == (200, whole.headers)
    assert live.player.complaints == []


def test_a_strict_replay_says_at_once_what_it_refuses() -> None:
    said: list[str] = []
    live = Live(recorded(), strict=True, notify=said.append)
    for _ in range(2):
        live.ask("GET", "/api/v2/jobs/never-seen-1")

    assert len(said) == 1
    assert said[0].startswith("GET /v2/jobs/never-seen-1 was not recorded; closest: ")
    assert len(live.player.complaints) == 2


def test_the_id_of_a_client_is_no_id_of_another_kind() -> None:
    made = Recording()
    client = "ck360c1503"
    conn = made.asks(1_000, "PATCH /internal/logs/subscribe", {"clientId": client, "enabled": True})
    made.answers(conn, 2_000, {"id": "job-12345678", "client_id": client})

    others = other_ids_of(made.timeline, ())

    assert list(others.all) == ["job-12345678"]
