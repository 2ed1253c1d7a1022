"""Clients without a socket on a replay: jobs with other values, and whose play-through it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay.matching.graph_bodies import graph_in
from tests.support.http_session import SECOND, Live, Recording

A, B, ASSET = "job-11111111", "job-22222222", "asset-33333333"
HASH = "blake3:" + "a1" * 32


def graph(steps: int = 20, seed: int = 4_711, prefix: str = "red", kind: str = "KSampler") -> Any:
    return {
        "1": {"class_type": kind, "inputs": {"seed": seed, "steps": steps}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def told(id: str, status: str = "succeeded", name: str = "red_00001_.png") -> dict[str, Any]:
    return {"id": id, "status": status, "outputs": [{"name": name}]}


def recorded() -> Timeline:
    """An upload, a job of 20 steps, one of 5 that is cancelled, a refused one."""
    made = Recording()

    def asks(t: int, line: str, answer: Any, body: Any = None, status: int = 200) -> None:
        made.answers(made.asks(t, line, body), t + 1_000, answer, status)

    asks(SECOND, f"HEAD /api/v2/assets/by-hash/{HASH}", {}, status=404)
    asks(2 * SECOND, "POST /api/v2/assets", {"id": ASSET}, {"name": "p.png"}, 201)
    body = {"workflow": graph(), "metadata": {"client": "acme"}}
    asks(3 * SECOND, "POST /api/v2/jobs", told(A, "queued"), body, 201)
    asks(4 * SECOND, f"GET /api/v2/jobs/{A}", told(A, "queued"))
    body = {"workflow": graph(steps=5, prefix="blue")}
    asks(5 * SECOND, "POST /api/v2/jobs", told(B, "queued"), body, 201)
    asks(6 * SECOND, f"POST /api/v2/jobs/{B}/cancel", told(B, "canceled"))
    asks(7 * SECOND, f"GET /api/v2/jobs/{A}", told(A))
    asks(7 * SECOND, f"GET /api/v2/jobs/{A}/workflow", {"workflow": graph(), "format": "api"})
    asks(8 * SECOND, "GET /api/v2/jobs?metadata%5Bclient%5D=acme", {"jobs": [told(A)]})
    bad = {"workflow": graph(kind="NoSuchNode")}
    asks(9 * SECOND, "POST /api/v2/jobs", {"error": {"code": "invalid_workflow"}}, bad, 422)
    return made.timeline


def submitted(live: Live, workflow: Any, **more: Any) -> Any:
    exchange = live.ask("POST", "/api/v2/jobs", {"workflow": workflow, **more})
    return json.loads(live.answers[exchange].body)


def polled(live: Live, job: str) -> list[str]:
    """What a job's status is when it was just made, and after the time it took when recorded."""
    told = []
    for _ in range(2):
        told.append(live.json("GET", f"/api/v2/jobs/{job}")["status"])
        live.run(live.now + 4 * SECOND)
    return told


@pytest.mark.parametrize("strict", [False, True])
def test_a_job_with_another_seed_is_the_recorded_one_whatever_came_before(strict: bool) -> None:
    live = Live(recorded(), strict=strict)

    second = submitted(live, graph(steps=5, prefix="blue", seed=1))
    first = submitted(live, graph(seed=2))

    assert live.json("POST", f"/api/v2/jobs/{second['id']}/cancel")["status"] == "canceled"
    assert polled(live, first["id"]) == ["queued", "succeeded"]
    assert not {A, B} & {first["id"], second["id"]}
    assert live.player.complaints == []


def test_nothing_that_is_done_to_one_job_holds_up_another() -> None:
    live = Live(recorded())
    job = submitted(live, graph(seed=2))["id"]

    # Its second job, and the cancellation, which stand before the end of the first, do not come.
    assert polled(live, job) == ["queued", "succeeded"]


def test_a_list_waits_for_no_job_that_does_not_come_and_leaves_it_out() -> None:
    made = Recording()

    def asks(t: int, line: str, answer: Any, body: Any = None, status: int = 200) -> None:
        made.answers(made.asks(t, line, body), t + 1_000, answer, status)

    asks(SECOND, "POST /api/v2/jobs", told(A, "queued"), {"workflow": graph()}, 201)
    other = {"workflow": graph(steps=5)}
    asks(2 * SECOND, "POST /api/v2/jobs", told(B, "queued"), other, 201)
    both = {"jobs": [told(B, "queued"), told(A, "running"), {"id": [A]}, "x"]}
    asks(3 * SECOND, "GET /api/v2/jobs", both)
    asks(4 * SECOND, "GET /api/v2/jobs", {"jobs": [told(B), told(A)]})
    live = Live(made.timeline, strict=True)
    job = submitted(live, graph(seed=2))["id"]

    listed = []
    for _ in range(5):
        listed.append(live.json("GET", "/api/v2/jobs")["jobs"])
        live.run(live.now + SECOND)

    assert [len(one) for one in listed] == [3, 3, 1, 1, 1]
    assert [[one[0]["id"], one[0]["status"]] for one in listed][-1] == [job, "succeeded"]
    assert {one[0]["id"] for one in listed} == {job}
    second = submitted(live, graph(steps=5, seed=3))["id"]
    live.run(live.now + 4 * SECOND)
    assert [one["id"] for one in live.json("GET", "/api/v2/jobs")["jobs"]] == [second, job]


def test_seeds_prefixes_and_labels_of_the_live_client_come_back() -> None:
    live = Live(recorded())
    mine = graph(seed=2, prefix="albums/green")

    job = submitted(live, mine, metadata={"client": "umbrella"})["id"]
    live.json("GET", f"/api/v2/jobs/{job}")
    done = live.json("GET", f"/api/v2/jobs/{job}")
    listed = live.json("GET", "/api/v2/jobs?metadata%5Bclient%5D=umbrella")

    assert done["outputs"][0]["name"] == "green_00001_.png"
    assert live.json("GET", f"/api/v2/jobs/{job}/workflow")["workflow"] == mine
    assert [one["id"] for one in listed["jobs"]] == [job]


def test_what_was_refused_is_refused_and_what_is_like_nothing_is_said() -> None:
    said: list[str] = []
    live = Live(recorded(), notify=said.append)

    refused = live.answers[live.ask("POST", "/api/v2/jobs", {"workflow": graph(kind="NoSuchNode")})]
    unlike = live.answers[
        live.ask("POST", "/api/v2/jobs", {"workflow": {"1": {"class_type": "X", "inputs": {}}}})
    ]

    assert (refused.status, unlike.status) == (422, 422)
    assert json.loads(unlike.body)["error"]["code"] == "invalid_workflow"
    assert len(said) == 1
    assert said[0].startswith("a job was not recorded and is refused; closest: exchange 2")


def test_a_strict_replay_refuses_a_job_of_another_structure() -> None:
    live = Live(recorded(), strict=True)

    answer = live.answers[live.ask("POST", "/api/v2/jobs", {"workflow": graph(steps=9)})]

    assert answer.status == 500
    assert "POST /v2/jobs was not recorded" in live.player.complaints[0]


def test_who_begins_as_the_recording_does_when_it_has_ended_is_the_next_client() -> None:
    live = Live(recorded())

    def a_client(seed: int) -> tuple[int, str]:
        known = live.answers[live.ask("HEAD", f"/api/v2/assets/by-hash/{HASH}")].status
        live.json("POST", "/api/v2/assets", {"name": "p.png"})
        job: str = submitted(live, graph(seed=seed))["id"]
        submitted(live, graph(steps=5, prefix="blue", seed=seed))
        return known, job

    first, second = a_client(1), a_client(2)

    assert first[0] == second[0] == 404
    assert first[1] != second[1]
    assert live.json("GET", f"/api/v2/jobs/{first[1]}")["id"] == first[1]


@pytest.mark.parametrize(
    "body",
    [{"workflow": graph()}, {"input": {"workflow": graph()}}, {"x": 1, "workflow_api": graph()}],
)
def test_a_graph_is_found_wherever_a_body_has_it(body: Any) -> None:
    assert graph_in(body) == graph()


@pytest.mark.parametrize("body", [None, [], {}, {"a": {}}, {"nodes": [], "links": []}, "x"])
def test_a_body_without_a_graph_has_none(body: Any) -> None:
    assert graph_in(body) is None
