"""Comfy Cloud v1 over the simulated server: keys, jobs, sockets."""

from __future__ import annotations

import json

import pytest

from tests.support.cloud_client import GRAPH, KEY, SECONDS, CloudRig

RUN = [
    "notification", "execution_start", "execution_cached", "executing", "executing", "executed",
    "execution_success", "executing",
]  # fmt: skip


def test_a_job_from_submission_to_its_outputs() -> None:
    rig = CloudRig()
    socket = rig.connect()
    id = rig.submit(GRAPH)
    first = rig.json(f"/api/job/{id}/status")
    rig.rest()
    last = rig.json(f"/api/job/{id}/status")
    detail = rig.json(f"/api/jobs/{id}")
    (entry,) = rig.json("/api/history_v2")["history"]

    assert (first["status"], last["status"]) == ("executing", "success")
    assert first["created_at"] == "2026-01-01T00:00:00.000Z"
    assert rig.types(socket) == RUN
    assert detail["status"] == "completed"
    assert detail["create_time"] == 1_767_225_600_000
    assert [*detail["outputs"]] == ["9"]
    assert entry["prompt_id"] == id
    assert "prompt" not in entry["prompt"]
    assert rig.json(f"/api/history_v2/{id}")[id]["prompt"]["prompt"] == GRAPH


def test_all_sockets_of_a_user_hear_everything_and_nobody_elses_do() -> None:
    rig = CloudRig()
    mine = [rig.connect(client_id="a"), rig.connect(client_id="b"), rig.connect(client_id="a")]
    other = rig.connect(token="another-key")
    rig.submit(client_id="a")
    rig.rest()

    assert [rig.types(socket) for socket in mine] == [RUN] * 3
    assert rig.types(other) == []
    assert {event["data"]["status"]["exec_info"]["queue_remaining"] for event in
            rig.events(other)} == {0}  # fmt: skip


def test_a_socket_that_left_hears_nothing_and_the_others_go_on() -> None:
    rig = CloudRig()
    gone, stays = rig.connect(), rig.connect()
    rig.leave(gone)
    rig.submit()
    rig.rest()

    assert rig.types(gone) == []
    assert rig.types(stays) == RUN


NO_KEY = {
    "no key": ("", ()),
    "an empty bearer": ("", (("Authorization", "Bearer "),)),
    "a wrong key": ("wrong", ()),
    "a wrong bearer": ("", (("Authorization", "Bearer wrong"),)),
    "basic": ("", (("Authorization", f"Basic {KEY}"),)),
}


@pytest.mark.parametrize("key, headers", NO_KEY.values(), ids=NO_KEY)
def test_without_the_key_nothing_is_told(key: str, headers: tuple[tuple[str, str], ...]) -> None:
    rig = CloudRig(key=KEY)

    for target, body in (("/api/user", None), ("/api/prompt", {"prompt": GRAPH})):
        answer = rig.ask(target, body, key=key, headers=headers)
        assert answer.status == 401
        assert json.loads(answer.body)["code"] == "UNAUTHORIZED"


def test_a_bearer_is_as_good_as_a_key_and_the_state_of_the_system_is_public() -> None:
    rig = CloudRig(key=KEY)
    bearer = (("Authorization", f"Bearer {KEY}"),)

    assert rig.ask("/api/user", key="", headers=bearer).status == 200
    assert rig.ask("/api/system_stats", key="").status == 200


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_socket_without_the_token_is_refused(token: str) -> None:
    rig = CloudRig(key=KEY)
    socket = rig.connect(token=token)

    assert rig.answers[socket].status == 401
    assert socket not in rig.heard


def test_another_users_job_is_forbidden_and_an_unknown_one_is_not_found() -> None:
    rig = CloudRig()
    id = rig.submit()
    rig.rest()

    for target in ("/api/job/{}/status", "/api/jobs/{}", "/api/history_v2/{}"):
        assert rig.ask(target.format(id), key="another-key").status == 403
        assert rig.ask(target.format("unknown")).status == 404
    assert rig.json("/api/jobs", key="another-key")["jobs"] == []


def test_the_history_of_a_local_server_is_not_there() -> None:
    rig = CloudRig()
    id = rig.submit()

    for target in (f"/api/history/{id}", "/api/history", "/api/free", "/history", "/prompt"):
        assert rig.ask(target).status in (404, 405)


def test_the_history_of_a_job_that_goes_on_is_not_found() -> None:
    rig = CloudRig()
    id = rig.submit()

    assert rig.ask(f"/api/history_v2/{id}").status == 404


def test_a_prompt_with_one_bad_node_is_refused_whole() -> None:
    rig = CloudRig()
    socket = rig.connect()
    bad = {**GRAPH, "8": {"class_type": "SaveImage", "inputs": {"filename_prefix": "no images"}}}

    answer = rig.ask("/api/prompt", {"prompt": bad})
    rig.rest()

    assert answer.status == 400
    assert [*json.loads(answer.body)["node_errors"]] == ["8"]
    assert rig.types(socket) == []
    assert rig.json("/api/jobs")["jobs"] == []


def test_what_the_server_refuses_is_passed_on() -> None:
    rig = CloudRig()

    for body in ({"prompt": {}}, {}, {"prompt": {"1": {"class_type": "NoSuchNode"}}}, [], 7):
        assert rig.ask("/api/prompt", body).status in (400, 500)


def test_the_ids_and_places_that_a_client_wishes_for_are_ignored() -> None:
    rig = CloudRig()
    wished = "11111111-2222-4333-8444-555555555555"
    id = rig.submit(prompt_id=wished, client_id="mine", number=-5, front=True)

    assert id != wished


def failing(message: str = "out of luck", kind: str = "RuntimeError") -> str:
    return f"execution-error:message={message},exception_type={kind}"


FIELDS = {
    "least": {"prompt_id", "exception_message"},
    "few": {"prompt_id", "exception_message", "exception_type"},
}


@pytest.mark.parametrize("errors, fields", FIELDS.items(), ids=FIELDS)
def test_an_error_has_few_fields_and_a_category(errors: str, fields: set[str]) -> None:
    rig = CloudRig("execution-error:exception_type=torch.OutOfMemoryError", errors=errors)
    socket = rig.connect()
    id = rig.submit()
    rig.rest()
    (error,) = [one["data"] for one in rig.events(socket) if one["type"] == "execution_error"]
    detail = rig.json(f"/api/jobs/{id}")

    assert set(error) == fields
    assert error.get("exception_type", "OOMError") == "OOMError"
    assert detail["status"] == "failed"
    assert detail["execution_error"]["exception_type"] == "torch.OutOfMemoryError"
    assert detail["execution_error"]["current_outputs"] == {}
    assert json.loads(detail["error_message"]) == detail["execution_error"]
    assert rig.json(f"/api/job/{id}/status")["error_message"] == error["exception_message"]


WORDS = {
    ("pages", "error"): "error",
    ("pages", "non_retryable_error"): "non_retryable_error",
    ("others", "error"): "error",
    ("specification", "error"): "error",
}


@pytest.mark.parametrize("setting, word", WORDS.items(), ids=str)
def test_a_failed_job_has_the_word_that_was_asked_for(setting: tuple[str, str], word: str) -> None:
    rig = CloudRig("execution-error", words=setting[0], failed_as=setting[1])
    id = rig.submit()
    rig.rest()

    assert rig.json(f"/api/job/{id}/status")["status"] == word


@pytest.mark.parametrize(
    "words, flight, end",
    [
        ("pages", {"submitted", "queued_waiting", "executing"}, "success"),
        ("specification", {"waiting_to_dispatch", "pending", "in_progress"}, "completed"),
        ("others", {"created", "waiting_for_capacity", "uploading_outputs"}, "success"),
    ],
)
def test_a_job_in_flight_has_other_words_than_one_that_has_ended(
    words: str, flight: set[str], end: str
) -> None:
    rig = CloudRig(words=words)
    ids = [rig.submit(), rig.submit()]
    seen = set()
    for moment in range(0, 400_000, 50_000):
        rig.rest(moment)
        rig.now = moment
        seen |= {rig.json(f"/api/job/{id}/status")["status"] for id in ids}
    rig.rest()

    assert seen == {*flight, end}
    assert rig.json(f"/api/job/{ids[0]}/status")["status"] == end


def test_jobs_that_wait_are_taken_out_and_those_that_run_are_interrupted() -> None:
    rig = CloudRig()
    socket = rig.connect()
    running, waiting, kept = rig.submit(), rig.submit(front=True), rig.submit()

    deleted = rig.json("/api/queue", {"delete": [running, waiting, "unknown"]})
    queue = rig.json("/api/queue")
    assert rig.ask("/api/interrupt", {}).status == 200
    during = rig.json(f"/api/job/{running}/status")["status"]
    rig.rest()

    assert deleted == {"deleted": [waiting], "cleared": False}
    assert [row[1] for row in queue["queue_running"]] == [running]
    assert [row[:2] + row[3:4] for row in queue["queue_pending"]] == [[2, kept, ["9"]]]
    assert during in ("cancel_requested", "cancelled")
    assert [rig.json(f"/api/job/{id}/status")["status"] for id in (running, waiting, kept)] == [
        "cancelled", "cancelled", "success",
    ]  # fmt: skip
    (stopped,) = [e["data"] for e in rig.events(socket) if e["type"] == "execution_interrupted"]
    assert set(stopped) == {"prompt_id", "timestamp"}


def test_nobody_interrupts_or_clears_what_belongs_to_others() -> None:
    rig = CloudRig()
    running, waiting = rig.submit(), rig.submit()
    rig.ask("/api/interrupt", {}, key="another-key")

    assert rig.json("/api/queue", {"clear": True}, key="another-key")["deleted"] == []
    rig.rest()
    assert {rig.json(f"/api/job/{id}/status")["status"] for id in (running, waiting)} == {"success"}


def test_so_many_jobs_of_a_user_run_at_once_and_the_others_wait() -> None:
    rig = CloudRig(parallel=2)
    socket = rig.connect()
    ids = [rig.submit(), rig.submit(), rig.submit()]
    started = [e["data"]["prompt_id"] for e in rig.events(socket) if e["type"] == "execution_start"]
    queue = rig.json("/api/queue")
    rig.rest(round(1.5 * SECONDS * 1e6))
    halfway = [rig.json(f"/api/job/{id}/status")["status"] for id in ids]
    rig.rest(round(2.1 * SECONDS * 1e6))
    ended = [rig.json(f"/api/job/{id}/status")["status"] for id in ids]

    assert started == ids[:2]
    assert [row[1] for row in queue["queue_running"]] == ids[:2]
    assert [row[1] for row in queue["queue_pending"]] == ids[2:]
    assert halfway == ["success", "success", "executing"]
    assert ended == ["success"] * 3


def test_nobody_waits_for_the_jobs_of_others() -> None:
    rig = CloudRig()
    mine, also_mine, theirs = rig.submit(), rig.submit(), rig.submit(key="another-key")
    rig.rest(round(1.5 * SECONDS * 1e6))

    assert rig.json(f"/api/job/{theirs}/status", key="another-key")["status"] == "success"
    assert [rig.json(f"/api/job/{id}/status")["status"] for id in (mine, also_mine)] == [
        "success", "executing",
    ]  # fmt: skip


def test_an_interrupt_stops_what_runs_of_several() -> None:
    rig = CloudRig(parallel=3)
    ids = [rig.submit() for _ in range(4)]
    rig.ask("/api/interrupt", {})
    rig.rest()

    said = [rig.json(f"/api/job/{id}/status")["status"] for id in ids]
    assert said == ["cancelled", "cancelled", "cancelled", "success"]


def test_a_job_that_the_server_forgot_is_lost() -> None:
    rig = CloudRig("server-restart")
    socket = rig.connect()
    id = rig.submit()
    rig.rest()

    assert rig.json(f"/api/job/{id}/status")["status"] == "lost"
    assert socket in rig.ended


def test_a_cut_of_the_servers_socket_cuts_those_of_the_user_who_may_come_back() -> None:
    rig = CloudRig("finished-during-gap")
    first = rig.connect()
    id = rig.submit()
    rig.rest()
    again = rig.connect()
    rig.submit()
    rig.rest()

    assert first in rig.ended
    assert rig.json(f"/api/job/{id}/status")["status"] == "success"
    assert rig.types(again)[-2:] == ["execution_success", "executing"]


def test_history_is_forgotten_by_id_and_whole() -> None:
    rig = CloudRig()
    first, second = rig.submit(), rig.submit()
    rig.rest()
    rig.ask("/api/history", {"delete": [first]})
    left = [entry["prompt_id"] for entry in rig.json("/api/history_v2")["history"]]
    rig.ask("/api/history", {"clear": True})

    assert left == [second]
    assert rig.json("/api/history_v2") == {"history": []}
    assert rig.ask(f"/api/jobs/{first}").status == 404


LISTS = {
    "all": ("", [2, 1, 0]),
    "the oldest first": ("?sort_order=asc", [0, 1, 2]),
    "a page": ("?limit=1&offset=1", [1]),
    "by status": ("?status=completed,failed", [2, 1, 0]),
    "no such": ("?status=failed", []),
    "pictures": ("?output_type=image", [2, 1, 0]),
    "videos": ("?output_type=video", []),
    "by time": ("?sort_by=execution_time&limit=3", None),
    "a workflow": ("?workflow_id=w", []),
}


@pytest.mark.parametrize("query, places", LISTS.values(), ids=LISTS)
def test_lists_of_jobs(query: str, places: list[int] | None) -> None:
    rig = CloudRig()
    ids = [rig.submit() for _ in range(3)]
    rig.rest()
    listed = rig.json(f"/api/jobs{query}")

    found = [job["id"] for job in listed["jobs"]]
    assert places is None or found == [ids[place] for place in places]
    assert set(listed["pagination"]) == {"offset", "limit", "total", "has_more"}


BAD = {
    "a status": ("/api/jobs?status=done", None),
    "a limit": ("/api/jobs?limit=0", None),
    "too large a limit": ("/api/jobs?limit=1001", None),
    "an offset": ("/api/jobs?offset=x", None),
    "an order": ("/api/jobs?sort_order=up", None),
    "items": ("/api/history_v2?max_items=x", None),
    "a queue": ("/api/queue", {"remove": []}),
    "ids": ("/api/queue", {"delete": "x"}),
    "a flag": ("/api/history", {"clear": "yes"}),
    "no object": ("/api/history", []),
    "no file name": ("/api/view", None),
    "an upload": ("/api/upload/image", b"nothing"),
    "other hosts": ("/api/assets/download", {"source_url": "http://example.com"}),
}


@pytest.mark.parametrize("target, body", BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_said(target: str, body: object) -> None:
    answer = CloudRig().ask(target, body)

    assert answer.status == 400
    assert set(json.loads(answer.body)) == {"code", "message"}


def test_facts_and_reset() -> None:
    rig = CloudRig()
    rig.submit()
    rig.rest()

    assert rig.source.facts()["cloud"] == {"users": 1, "jobs": {"success": 1}}
    rig.source.reset(["history", "files"])
    assert rig.source.facts()["cloud"]["jobs"] == {}
