"""Queue, history, jobs and free, as the HTTP side asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.engine_bench import Rig, node

MAKE = node("Make", color=1)
SINK = {"1": MAKE, "2": node("Sink", image=["1", 0])}
HELD = {"1": node("Make", color=7), "slow": node("Sink", image=["1", 0])}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
IDS = [f"{n}0000000-0000-4000-8000-000000000000" for n in range(1, 9)]


def busy(**kwargs: Any) -> Rig:
    """A server with one prompt that runs for ten seconds."""
    rig = Rig({"slow": {"seconds": 10}}, **kwargs)
    rig.connect("A")
    rig.queue(HELD)
    rig.told()
    return rig


def order(rig: Rig) -> list[str]:
    rig.finish()
    frames = [f for f in rig.frames["A"] if isinstance(f, dict) and f["type"] == "execution_start"]
    return [f["data"]["prompt_id"] for f in frames]


# --- numbers -------------------------------------------------------------------------------------


def test_numbers_count_up_also_on_refused_prompts() -> None:
    rig = Rig()

    def number(body: Any) -> Any:
        return json.loads(rig.ask("POST", "/prompt", body).body).get("number")

    assert number({"prompt": SINK}) == 0
    assert number({"prompt": {}}) is None
    assert number({}) is None
    assert number({"prompt": SINK, "number": 5}) == 5.0
    assert number({"prompt": SINK, "front": True}) == -3
    assert number({"prompt": SINK, "front": False}) == 4


NUMBERS = {"text": ("-20", -20.0), "whole": (7, 7.0), "true": (True, 1.0)}


@pytest.mark.parametrize("given, number", NUMBERS.values(), ids=NUMBERS)
def test_a_number_of_the_client_becomes_a_float(given: Any, number: float) -> None:
    answer = json.loads(Rig().ask("POST", "/prompt", {"prompt": SINK, "number": given}).body)

    assert repr(answer["number"]) == repr(number)


@pytest.mark.parametrize("given", [None, "x", [], {}, 10**400], ids=str)
def test_what_is_no_number_is_a_server_error(given: Any) -> None:
    assert Rig().ask("POST", "/prompt", {"prompt": SINK, "number": given}).status == 500


def test_the_lowest_number_runs_first_and_equal_ones_by_prompt_id() -> None:
    rig = busy()

    rig.queue(SINK, prompt_id=IDS[0])
    rig.queue(SINK, prompt_id=IDS[1], front=True)
    rig.queue(SINK, prompt_id=IDS[3], number=-100)
    rig.queue(SINK, prompt_id=IDS[2], number=-100)

    assert order(rig) == [IDS[2], IDS[3], IDS[1], IDS[0]]


def test_ten_thousand_wait_and_the_last_to_come_may_be_first() -> None:
    rig = busy()
    for _ in range(200):
        rig.queue(SINK, client=None)
    first = rig.queue(SINK, front=True)

    assert rig.get("/prompt") == {"exec_info": {"queue_remaining": 202}}
    assert order(rig) == [first]


# --- looking and deleting ------------------------------------------------------------------------


def test_the_queue_shows_five_things_of_each_prompt() -> None:
    rig = busy()
    waiting = rig.queue(SINK, extra_data={"note": 1, "api_key_comfy_org": "secret"})

    queue = rig.get("/queue")

    created = rig.engine.options.epoch_ms
    assert [item[1] for item in queue["queue_running"]] == [rig.engine.running[0].prompt_id]
    assert queue["queue_pending"] == [
        [1, waiting, SINK, {"note": 1, "client_id": "A", "create_time": created}, ["2"]]
    ]


def test_one_status_for_each_that_is_deleted_two_for_the_last_one() -> None:
    rig = busy()
    first, second, third = (rig.queue(SINK) for _ in range(3))
    rig.told()

    rig.ask("POST", "/queue", {"delete": [second]})
    one = rig.told()
    rig.ask("POST", "/queue", {"delete": [UNKNOWN, rig.engine.running[0].prompt_id]})
    none = rig.told()
    rig.ask("POST", "/queue", {"delete": [first, third]})

    assert (one, none) == (["status 3"], [])
    assert rig.told() == ["status 2", "status 1", "status 1"]
    assert order(rig) == []


def test_clear_takes_all_that_wait_and_says_so_once() -> None:
    rig = busy()
    rig.queue(SINK)
    rig.queue(SINK)
    rig.told()

    rig.ask("POST", "/queue", {"clear": True})

    assert rig.told() == ["status 1"]
    assert rig.get("/queue")["queue_pending"] == []


BODIES = {
    "nothing": (b"{}", 200),
    "clear false": (b'{"clear": false}', 200),
    "no ids": (b'{"delete": []}', 200),
    "a text is walked letter by letter": (b'{"delete": "abc"}', 200),
    "a list": (b"[]", 200),
    "a list with the word": (b'["clear"]', 500),
    "a number": (b"5", 500),
    "null": (b"null", 500),
    "a number of ids": (b'{"delete": 5}', 500),
    "empty": (b"", 500),
    "no JSON": (b"nonsense", 500),
    "bad UTF-8": (b'{"clear": "\xff"}', 500),
}


@pytest.mark.parametrize("path", ["/queue", "/history"])
@pytest.mark.parametrize("body, status", BODIES.values(), ids=BODIES)
def test_odd_bodies_get_what_the_handlers_make_of_them(path: str, body: bytes, status: int) -> None:
    assert Rig().ask("POST", path, body).status == status


INTERRUPTS = {
    "empty": (b"", 200),
    "no JSON": (b"x", 200),
    "null id": (b'{"prompt_id": null}', 200),
    "null": (b"null", 500),
    "a list": (b"[]", 500),
}


@pytest.mark.parametrize("body, status", INTERRUPTS.values(), ids=INTERRUPTS)
def test_interrupt_forgives_what_is_no_json(body: bytes, status: int) -> None:
    assert Rig().ask("POST", "/interrupt", body).status == status


@pytest.mark.parametrize("body, status", [(b"{}", 200), (b"", 500), (b"[]", 500)])
def test_free_wants_an_object(body: bytes, status: int) -> None:
    assert Rig().ask("POST", "/free", body).status == status


def test_free_waits_for_the_running_prompt() -> None:
    rig = busy()
    rig.queue(SINK)

    rig.ask("POST", "/free", {"free_memory": True})
    rig.finish()

    assert [one for one in rig.told() if one.startswith("cached")] == ["cached"]


# --- history -------------------------------------------------------------------------------------


def test_history_keeps_the_order_of_completion_and_windows_of_it() -> None:
    rig = Rig()
    ids = [rig.queue(SINK, client=None) for _ in range(4)]

    def window(**query: str) -> list[str]:
        return list(rig.get("/history", query=query))

    assert window() == ids
    assert window(max_items="2") == ids[2:]
    assert window(max_items="2", offset="0") == ids[:2]
    assert window(max_items="2", offset="1") == ids[1:3]
    assert window(offset="3") == ids[3:]
    assert window(max_items="0") == window(max_items="-1") == window(offset="99") == []
    assert window(offset="-5") == ids


@pytest.mark.parametrize("query", [{"max_items": "x"}, {"offset": "1.5"}, {"max_items": ""}])
def test_history_windows_that_are_no_numbers_are_server_errors(query: dict[str, str]) -> None:
    assert Rig().ask("GET", "/history", query=query).status == 500


def test_a_repeated_id_replaces_the_earlier_entry() -> None:
    rig = Rig()
    rig.queue(SINK, prompt_id=IDS[0], client=None)

    rig.queue(SINK, prompt_id=IDS[0], client=None)

    assert [entry["prompt"][0] for entry in rig.get("/history").values()] == [1]


def test_history_forgets_its_oldest_entry_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fake_server.simulator.engine.HISTORY_MAX", 3)
    rig = Rig()

    ids = [rig.queue(SINK, client=None) for _ in range(9)]

    assert list(rig.get("/history")) == ids[-4:]


def test_entries_can_be_deleted_one_by_one_and_all_at_once() -> None:
    rig = Rig()
    first, second, _ = (rig.queue(SINK, client=None) for _ in range(3))

    rig.ask("POST", "/history", {"delete": [first, UNKNOWN]})
    left = list(rig.get("/history"))
    rig.ask("POST", "/history", {"clear": True})

    assert left[0] == second
    assert rig.get("/history") == {}


# --- POST /prompt --------------------------------------------------------------------------------

PROMPT_BODIES = {
    "no JSON": (b"{no", 500),
    "empty": (b"", 500),
    "null": (b"null", 500),
    "a number": (b"7", 500),
    "a list": (b"[]", 400),
    "a text": (b'"text"', 400),
    "a list with the word": (b'["prompt"]', 500),
    "prompt null": (b'{"prompt": null}', 500),
    "prompt a list": (b'{"prompt": [1, 2]}', 500),
    "prompt a text": (b'{"prompt": "x"}', 500),
    "node a number": (b'{"prompt": {"1": 5}}', 500),
    "class a list": (b'{"prompt": {"1": {"class_type": [], "inputs": {}}}}', 500),
    "nested without end": (b'{"prompt": ' + b"[" * 50_000, 500),
    "NaN": (b'{"prompt": {"1": {"class_type": "Make", "inputs": {"color": NaN}}}}', 400),
    "charset of nobody": (b"{}", 400),
}


@pytest.mark.parametrize("body, status", PROMPT_BODIES.values(), ids=PROMPT_BODIES)
def test_malformed_prompts_get_what_the_server_makes_of_them(body: bytes, status: int) -> None:
    assert Rig().ask("POST", "/prompt", body).status == status


@pytest.mark.parametrize("extra_data", [None, [], 5, "x"], ids=str)
def test_extra_data_that_is_no_object_is_a_server_error(extra_data: Any) -> None:
    answer = Rig().ask("POST", "/prompt", {"prompt": SINK, "extra_data": extra_data})

    assert answer.status == 500


def test_a_body_in_another_charset_is_read_in_it() -> None:
    body = json.dumps({"prompt": SINK}).encode("utf-16")

    answer = Rig().ask("POST", "/prompt", body, headers=[("content-type", "x/y; charset=utf-16")])

    assert answer.status == 200


IDS_OF_CLIENTS = {
    "canonical": (IDS[0], 200),
    "null": (None, 200),
    "upper case": (IDS[0].upper().replace("1", "A"), 400),
    "no UUID": ("not-a-uuid", 400),
    "empty": ("", 400),
    "a number": (12, 400),
    "with a newline": (IDS[0] + "\n", 400),
}


@pytest.mark.parametrize("prompt_id, status", IDS_OF_CLIENTS.values(), ids=IDS_OF_CLIENTS)
def test_a_client_may_choose_a_canonical_uuid(prompt_id: Any, status: int) -> None:
    answer = Rig().ask("POST", "/prompt", {"prompt": SINK, "prompt_id": prompt_id})

    assert answer.status == status


def test_older_servers_take_any_text_as_id_and_still_older_ones_none() -> None:
    assert Rig(version="0.8.2").queue(SINK, prompt_id="any") == "any"
    assert Rig(version="0.3.40").queue(SINK, prompt_id="any") != "any"


def test_the_usage_source_header_ends_in_extra_data() -> None:
    rig = Rig()

    answer = rig.ask("POST", "/prompt", {"prompt": SINK}, headers=[("Comfy-Usage-Source", "tests")])

    prompt_id = json.loads(answer.body)["prompt_id"]
    assert rig.history(prompt_id)["prompt"][3]["comfy_usage_source"] == "tests"


def test_client_id_may_sit_in_extra_data_and_the_top_level_wins() -> None:
    rig = Rig()
    rig.connect("A")
    rig.connect("B")
    rig.told()

    rig.queue(SINK, client=None, extra_data={"client_id": "A"})
    inside = rig.told("A")
    rig.queue(SINK, client="B", extra_data={"client_id": "A"})

    assert inside[-1] == "end"
    assert rig.told("A")[-1] == "status 0"


@pytest.mark.parametrize("client_id", [5, [], {}, True], ids=str)
def test_a_client_id_that_is_no_text_is_nobody(client_id: Any) -> None:
    rig = Rig()
    rig.connect("A")
    rig.told()

    rig.queue(SINK, client=None, extra_data={"client_id": client_id})

    assert rig.told() == ["status 1", "status 1", "status 0"]


# --- jobs ----------------------------------------------------------------------------------------


def some_jobs() -> tuple[Rig, dict[str, str]]:
    rig = Rig(
        {"slow": {"seconds": 1}, "bad": {"raise": "no"}, "text": {"ui": {"text": ["x" * 2_000]}}}
    )
    workflow = {"extra_pnginfo": {"workflow": {"id": "w"}}}
    ids = {
        "done": rig.queue(
            {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="j")},
            extra_data=workflow,
        ),
        "text": rig.queue({"1": MAKE, "text": node("Sink", image=["1", 0])}),
        "failed": rig.queue({"1": MAKE, "bad": node("Sink", image=["1", 0])}),
        "cancelled": rig.queue(HELD),
    }
    rig.until(500_000)
    rig.ask("POST", "/interrupt")
    ids["running"] = rig.queue({"1": node("Make", color=2), "slow": node("Sink", image=["1", 0])})
    ids["waiting"] = rig.queue(SINK, extra_data=workflow)
    return rig, ids


def listed(rig: Rig, **query: str) -> Any:
    return rig.get("/jobs", query=query)["jobs"]


def test_every_prompt_is_a_job_with_its_status() -> None:
    rig, ids = some_jobs()

    found = {job["id"]: job["status"] for job in listed(rig)}

    assert found == {
        ids["waiting"]: "pending",
        ids["running"]: "in_progress",
        ids["cancelled"]: "cancelled",
        ids["failed"]: "failed",
        ids["done"]: "completed",
        ids["text"]: "completed",
    }


FILTERS = {
    "one": ({"status": "failed"}, ["failed"]),
    "two, with blanks and capitals": ({"status": " Failed , CANCELLED"}, ["cancelled", "failed"]),
    "workflow": ({"workflow_id": "w"}, ["done", "waiting"]),
    "none has it": ({"workflow_id": "none"}, []),
    "longest first": ({"sort_by": "execution_duration", "limit": "1"}, ["cancelled"]),
    "page": ({"status": "completed", "sort_order": "asc", "limit": "1", "offset": "1"}, ["text"]),
}


@pytest.mark.parametrize("query, names", FILTERS.values(), ids=FILTERS)
def test_the_job_list_can_be_narrowed(query: dict[str, str], names: list[str]) -> None:
    rig, ids = some_jobs()

    assert {job["id"] for job in listed(rig, **query)} == {ids[name] for name in names}


REFUSED = {
    "status": (
        {"status": "pending,nope,zap"},
        "Invalid status value(s): nope, zap. "
        "Valid values: pending, in_progress, completed, failed, cancelled",
    ),
    "sort_by": ({"sort_by": "x"}, "sort_by must be 'created_at' or 'execution_duration'"),
    "sort_order": ({"sort_order": "x"}, "sort_order must be 'asc' or 'desc'"),
    "limit 0": ({"limit": "0"}, "limit must be a positive integer"),
    "limit text": ({"limit": "x"}, "limit must be an integer"),
    "offset text": ({"offset": "x"}, "offset must be an integer"),
}


@pytest.mark.parametrize("query, said", REFUSED.values(), ids=REFUSED)
def test_the_job_list_refuses_what_it_does_not_understand(query: Any, said: str) -> None:
    answer = Rig().ask("GET", "/jobs", query=query)

    assert (answer.status, json.loads(answer.body)) == (400, {"error": said})


def test_a_finished_job_shows_its_best_picture_and_alone_its_outputs() -> None:
    rig, ids = some_jobs()

    job = rig.get("/jobs/{job_id}", job_id=ids["done"])

    assert job["outputs_count"] == 1
    assert job["preview_output"] == {
        "filename": "j_00001_.png",
        "subfolder": "",
        "type": "output",
        "nodeId": "2",
        "mediaType": "images",
    }
    assert job["workflow_id"] == "w"
    assert job["workflow"]["prompt"]["1"] == MAKE
    assert job["execution_status"]["completed"] is True


def test_a_long_text_is_cut_and_counts_as_no_output() -> None:
    rig, ids = some_jobs()

    job = rig.get("/jobs/{job_id}", job_id=ids["text"])

    assert job["outputs_count"] == 0
    assert job["preview_output"]["truncated"] is True
    assert len(job["preview_output"]["content"]) == 1024


def test_a_waiting_job_alone_is_its_list_entry() -> None:
    rig, ids = some_jobs()

    alone = rig.get("/jobs/{job_id}", job_id=ids["waiting"])

    assert alone == next(job for job in listed(rig) if job["id"] == ids["waiting"])
    assert rig.ask("GET", "/jobs/{job_id}", job_id="x").status == 404


def test_a_job_can_be_cancelled_once() -> None:
    rig, ids = some_jobs()

    def cancel(job_id: str) -> bool:
        answer = rig.ask("POST", "/jobs/{job_id}/cancel", job_id=job_id)
        return bool(json.loads(answer.body)["cancelled"])

    assert [cancel(ids[name]) for name in ("waiting", "running", "waiting", "done")] == [
        True,
        True,
        False,
        False,
    ]
    assert rig.get("/jobs/{job_id}", job_id=ids["running"])["status"] == "cancelled"


CANCELS = {
    "all of them": (lambda ids: {"job_ids": [ids["waiting"], ids["running"]]}, 200),
    "none": (lambda ids: {"job_ids": []}, 200),
    "no list": (lambda ids: {"job_ids": "x"}, 400),
    "no key": (lambda ids: {}, 400),
    "bad ids": (lambda ids: {"job_ids": ["x", 3, {"a": 1}]}, 400),
}


@pytest.mark.parametrize("body, status", CANCELS.values(), ids=CANCELS)
def test_several_jobs_can_be_cancelled_together(body: Any, status: int) -> None:
    rig, ids = some_jobs()

    answer = rig.ask("POST", "/jobs/cancel", body(ids))

    assert answer.status == status
    said = json.loads(answer.body)
    assert said.get("invalid_ids", ["x", "3", "{'a': 1}"]) == ["x", "3", "{'a': 1}"]


def test_before_0_9_a_cancelled_job_had_failed() -> None:
    rig = busy(version="0.8.2")
    job_id = rig.engine.running[0].prompt_id

    rig.ask("POST", "/interrupt")

    assert rig.get("/jobs/{job_id}", job_id=job_id)["status"] == "failed"


# --- reset and facts -----------------------------------------------------------------------------


def test_reset_forgets_what_it_is_told_and_keeps_the_sockets() -> None:
    rig = busy()
    rig.queue(SINK)
    rig.told()

    rig.engine.reset(now=rig.now)
    rig.finish()
    silent = rig.told()
    prompt_id = rig.queue(SINK)

    assert silent == []
    assert list(rig.get("/history")) == [prompt_id]
    assert rig.history(prompt_id)["prompt"][0] == 0
    assert rig.told()[-1] == "end"


def test_reset_of_the_history_alone_keeps_the_cache() -> None:
    rig = Rig()
    rig.connect("A")
    rig.queue(SINK)
    rig.told()

    rig.engine.reset(["history"], now=rig.now)
    rig.queue(SINK)

    assert "cached 1 2" in rig.told()


def test_facts_tell_what_runs_and_which_plans_were_never_met() -> None:
    rig = busy()

    facts = rig.engine.facts()

    assert facts["running"] == rig.engine.running[0].prompt_id
    assert facts["plan_not_met"] == []
    assert facts["clients"] == ["A"]
    assert json.dumps(facts)


def test_each_client_of_a_service_has_so_many_workers() -> None:
    rig = Rig({"slow": {"seconds": 10, "uncached": True}}, workers_per_client=2)
    for client in ("A", "A", "A", "B", "A"):
        rig.queue(HELD, client)
    told = [
        [(job.client_id, job.number) for job in jobs]
        for jobs in (rig.engine.running, rig.engine.pending)
    ]
    rig.until(10_000_000)
    next_ones = [(job.client_id, job.number) for job in rig.engine.running]
    rig.finish()

    assert told == [[("A", 0), ("A", 1), ("B", 3)], [("A", 2), ("A", 4)]]
    assert next_ones == [("A", 2), ("A", 4)]
    assert [entry["prompt"][0] for entry in rig.get("/history").values()] == [0, 1, 3, 2, 4]


def test_an_interrupt_by_id_stops_one_of_several_that_run() -> None:
    rig = Rig({"slow": {"seconds": 10}}, workers_per_client=3)
    first, second = rig.queue(HELD), rig.queue(HELD)

    rig.ask("POST", "/interrupt", {"prompt_id": second})
    rig.until(20_000_000)

    said = {id: entry["status"]["status_str"] for id, entry in rig.get("/history").items()}
    assert said == {second: "error", first: "success"}
    assert not rig.engine.running


def test_a_reset_leaves_all_that_runs_and_waits() -> None:
    rig = Rig({"slow": {"seconds": 10}}, workers_per_client=2)
    for _ in range(3):
        rig.queue(HELD)

    rig.engine.reset(["queue"])
    rig.until(60_000_000)

    assert rig.engine.remaining == 0
    assert rig.get("/history") == {}
