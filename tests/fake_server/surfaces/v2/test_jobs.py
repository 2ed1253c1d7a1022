"""Jobs of v2 over the engine: states, progress, outputs, errors, cancel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec import events
from comfyrec.events import v2
from comfyrec.http.hint import HINT_HEADER, HINTED
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.surfaces.registry import with_surfaces
from fake_server.surfaces.v2.jobs import HEARD, ended_by
from fake_server.surfaces.v2.settings import V2Settings
from tests.support.v2_client import PICTURE, V2Client, check_answer, code, v2_source


def planned(node: dict[str, Any], **settings: Any) -> V2Client:
    """A server whose node 4 does that."""
    server = SimulatedServer(ServerOptions(), plan_for=always(NodePlans({"4": node})))
    return V2Client(with_surfaces(server, [SurfaceChoice("v2", V2Settings(**settings))]))


def client(*scenarios: str, **settings: Any) -> V2Client:
    return V2Client(v2_source(*scenarios, **settings))


@pytest.fixture
def slow() -> V2Client:
    return planned({"steps": 4, "seconds": 8, "previews": {"size": [8, 8]}})


def test_a_job_is_queued_runs_and_succeeds_with_its_outputs(slow: V2Client) -> None:
    id = slow.submit()
    slow.wait(5)
    halfway = slow.job(id)
    slow.wait(10)
    done = slow.job(id)

    assert halfway.status == "running"
    assert halfway.progress is not None
    assert (halfway.progress.current_node, halfway.progress.current_node_class) == (
        "4",
        "ImageScaleBy",
    )
    assert (halfway.progress.step, halfway.progress.steps) == (2, 4)
    assert halfway.progress.nodes_done == 1
    assert 1 / 3 < halfway.progress.value < 2 / 3
    assert done.status == "succeeded"
    assert done.progress is not None
    assert done.progress.value == 1.0
    assert done.completed_at is not None
    assert done.metrics == {"queue_ms": 0, "execution_ms": 8_000}
    [output] = done.outputs
    assert (output.node_id, output.type, output.content_type) == ("9", "image", "image/png")
    assert output.job_id == id
    picture = slow.ask("GET", f"/assets/{output.id}/content")
    assert picture.status == 200
    assert len(picture.body) == output.size_bytes > 0


def test_a_stream_tells_what_is_and_then_what_comes(slow: V2Client) -> None:
    id = slow.submit()
    stream = slow.listen(id)
    slow.wait(20)

    assert stream.over
    assert stream.states == ["running", "succeeded"]
    values = [one["value"] for one in stream.named("progress")]
    assert values == sorted(values)
    assert len(stream.named("preview")) == 4
    [output] = stream.named("output")
    assert output == {
        **stream.named("status")[-1]["outputs"][0],
        "url_expires_at": output["url_expires_at"],
    }
    for one in stream.events:
        assert not isinstance(v2.decode_event(one.event, one.data), v2.Misfit | v2.Unknown)
    assert stream.events[0].event == "status"
    assert stream.events[-1].event == "status"


def test_who_connects_late_hears_what_is_and_who_connects_after_the_end_that_alone(
    slow: V2Client,
) -> None:
    id = slow.submit()
    slow.wait(5)
    late = slow.listen(id)
    slow.wait(20)
    after = slow.listen(id)

    assert [one.event for one in late.events[:3]] == ["status", "progress", "preview"]
    assert after.over
    assert after.states == ["succeeded"]


def test_progress_and_previews_come_no_faster_than_the_throttle() -> None:
    fast = planned({"steps": 100, "seconds": 10, "previews": {"size": [8, 8]}})
    stream = fast.listen(fast.submit())
    fast.wait(20)

    assert 15 <= len(stream.named("preview")) <= 21
    assert 15 <= len(stream.named("progress")) <= 24
    assert stream.named("progress")[-1]["nodes_done"] == 3


def test_a_silent_stream_says_that_it_lives_and_at_some_time_no_more() -> None:
    hung = client("worker-dead")
    stream = hung.listen(hung.submit())
    hung.wait(100)
    first = stream.comments
    hung.wait(100_000)
    last = stream.comments
    hung.wait(100_000)

    assert first == 6
    assert 200 < last == stream.comments


@pytest.mark.parametrize(
    ("scenario", "status"),
    [
        ("success", "succeeded"),
        ("execution-error", "failed"),
        ("interrupt", "canceled"),
        ("ws-silent", "succeeded"),
        ("success-before-history", "succeeded"),
        ("abrupt-close", "succeeded"),
        ("events-before-post-reply", "succeeded"),
        ("queued-behind", "succeeded"),
        ("split-backends", "succeeded"),
        ("all-cached", "succeeded"),
        ("history-slow", "succeeded"),
    ],
)
def test_what_happens_natively_happens_here(scenario: str, status: str) -> None:
    asking = client(scenario)
    id = asking.submit()
    asking.wait()
    job = asking.job(id)

    assert job.status == status


def test_a_failed_job_says_why() -> None:
    failing = client("execution-error")
    stream = failing.listen(failing.submit())
    failing.wait()
    job = failing.job(next(iter(failing.source.surfaces[0]._follower.jobs)))  # type: ignore[attr-defined]

    assert job.error is not None
    assert job.error.code == "node_execution_error"
    assert job.error.message
    assert job.error.node_id is not None
    assert job.error.class_type
    assert stream.states[-1] == "failed"
    assert stream.named("status")[-1]["error"]["message"] == job.error.message


def test_a_running_job_is_canceled_at_the_next_step_and_a_waiting_one_at_once(
    slow: V2Client,
) -> None:
    first, second = slow.submit(), slow.submit({**PICTURE, "4": _scaled(3.0)})
    stream = slow.listen(second)
    slow.wait(1)
    assert slow.job(second).queue_position == 1

    waiting = slow.read("POST", f"/jobs/{second}/cancel")[1]
    running = slow.read("POST", f"/jobs/{first}/cancel")[1]
    slow.wait(10)
    again = slow.read("POST", f"/jobs/{first}/cancel")[1]

    assert waiting["status"] == "canceled"
    assert running["status"] == "canceling"
    assert again["status"] == "canceled"
    assert stream.states == ["queued", "canceled"]
    assert stream.over


def _scaled(by: float) -> dict[str, Any]:
    inputs = {**PICTURE["4"]["inputs"], "scale_by": by}
    return {**PICTURE["4"], "inputs": inputs}


def test_a_place_in_the_queue_is_told_as_it_moves(slow: V2Client) -> None:
    slow.submit()
    slow.submit({**PICTURE, "4": _scaled(3.0)})
    stream = slow.listen(slow.submit({**PICTURE, "4": _scaled(4.0)}))
    slow.wait(60)

    assert [(one["status"], one.get("queue_position")) for one in stream.named("status")] == [
        ("queued", 2),
        ("queued", 1),
        ("running", None),
        ("succeeded", None),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "invalid_request"),
        ([], "invalid_request"),
        ({}, "invalid_workflow"),
        ({"workflow": []}, "invalid_workflow"),
        ({"workflow": {}}, "invalid_workflow"),
        ({"workflow": {"nodes": [], "links": [], "last_node_id": 1}}, "workflow_format_ui"),
        ({"workflow": PICTURE, "webhook_url": "http://x"}, "invalid_workflow"),
        ({"workflow": PICTURE, "inputs": {}}, "invalid_workflow"),
        ({"workflow": PICTURE, "extra_data": {"other": "x"}}, "invalid_request"),
        ({"workflow": PICTURE, "extra_data": None}, "invalid_request"),
        ({"workflow": PICTURE, "extra_data": {"api_key_comfy_org": 1}}, "invalid_request"),
        ({"workflow": PICTURE, "metadata": "x"}, "metadata_invalid"),
        ({"workflow": PICTURE, "metadata": {"a": 1}}, "metadata_invalid"),
        (
            {"workflow": PICTURE, "metadata": dict.fromkeys(map(str, range(17)), "")},
            "metadata_invalid",
        ),
        ({"workflow": {"1": {"class_type": "Nothing", "inputs": {}}}}, "invalid_workflow"),
        (
            {"workflow": {**PICTURE, "3": {"__type": "core/ASSET", "info": {"id": "nobody"}}}},
            "missing_asset",
        ),
        ({"workflow": {**PICTURE, "3": {"__type": "core/ASSET"}}}, "missing_asset"),
    ],
)
def test_a_submission_is_refused_with_its_code(body: Any, said: str) -> None:
    answer = client().ask("POST", "/jobs", body)

    check_answer("postJobs", answer)
    assert (answer.status, code(answer)) == (422, said)


def test_a_refused_workflow_names_field_and_reason() -> None:
    workflow = {"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    answer = client().ask("POST", "/jobs", {"workflow": workflow})

    details = json.loads(answer.body)["error"]["details"]
    [wrong] = details["node_errors"]["9"]
    assert (wrong["field"], wrong["reason"]) == ("images", "required_input_missing")


def test_a_key_is_good_for_one_job_and_comes_back_when_there_is_none() -> None:
    asking = client()
    wrong = {"workflow": {"9": {"class_type": "Nothing", "inputs": {}}}}

    refused = asking.ask("POST", "/jobs", wrong, Idempotency_Key="k")
    made = asking.ask("POST", "/jobs", {"workflow": PICTURE}, Idempotency_Key="k")
    again = asking.ask("POST", "/jobs", {"workflow": PICTURE}, Idempotency_Key="k")
    empty = asking.ask("POST", "/jobs", {"workflow": PICTURE}, Idempotency_Key="")
    asking.wait(86_400)
    next_day = asking.ask("POST", "/jobs", {"workflow": PICTURE}, Idempotency_Key="k")

    assert [one.status for one in (refused, made, again, empty, next_day)] == [
        422, 201, 422, 422, 201,
    ]  # fmt: skip
    assert code(again) == "idempotency_key_reuse"


def test_after_an_unknown_outcome_the_key_stays_claimed() -> None:
    asking = client("http-hang")
    body = {"workflow": PICTURE}

    unknown = asking.ask("POST", "/jobs", body, Idempotency_Key="k")
    again = asking.ask("POST", "/jobs", body, Idempotency_Key="k")

    assert (unknown.status, code(unknown)) == (500, "upstream_error")
    assert code(again) == "idempotency_key_reuse"


def test_a_full_queue_says_when_to_come_again() -> None:
    full = client("worker-dead", queue_max=2)
    answers = [full.ask("POST", "/jobs", {"workflow": PICTURE}) for _ in range(3)]

    assert [one.status for one in answers] == [201, 201, 429]
    assert code(answers[2]) == "queue_full"
    assert dict(answers[2].headers)["Retry-After"] == "5"


def test_too_many_streams_are_refused_and_one_that_ends_makes_room() -> None:
    asking = client("worker-dead", streams_max=1)
    id = asking.submit()
    first = asking.listen(id)
    refused = asking.ask("GET", f"/jobs/{id}/events")
    asking.leave(first)
    second = asking.listen(id)

    assert (refused.status, code(refused)) == (429, "too_many_streams")
    assert dict(refused.headers)["Retry-After"] == "5"
    assert not second.over


def test_jobs_are_listed_newest_first_by_pages_and_labels() -> None:
    asking = client()
    ids = [asking.submit(metadata={"run": str(n % 2)}) for n in range(5)]

    status, page = asking.read("GET", "/jobs?limit=2")
    _, rest = asking.read("GET", f"/jobs?limit=9&cursor={page['next_cursor']}")
    _, ones = asking.read("GET", "/jobs?metadata%5Brun%5D=1")

    assert status == 200
    assert [one["id"] for one in page["jobs"] + rest["jobs"]] == ids[::-1]
    assert "next_cursor" not in rest
    assert [one["id"] for one in ones["jobs"]] == [ids[3], ids[1]]
    assert code(asking.ask("GET", "/jobs?cursor=x")) == "invalid_cursor"
    assert code(asking.ask("GET", "/jobs?limit=0")) == "invalid_request"
    assert code(asking.ask("GET", "/jobs?status=done")) == "invalid_request"
    assert code(asking.ask("GET", "/jobs?metadata%5B%5D=1")) == "invalid_metadata_filter"


def test_the_workflow_behind_a_job_is_what_was_run() -> None:
    asking = client()
    id = asking.submit(extra_data={"api_key_comfy_org": "comfyui-secret"})
    answer = asking.ask("GET", f"/jobs/{id}/workflow")

    check_answer("getJobWorkflow", answer)
    assert json.loads(answer.body) == {"workflow": PICTURE, "format": "api"}


def test_what_is_past_its_retention_is_gone() -> None:
    asking = client(retention_s=60)
    id = asking.submit()
    output = asking.job(id).outputs
    asking.wait(61)

    assert asking.ask("GET", f"/jobs/{id}").status == 404
    assert asking.read("GET", "/jobs")[1] == {"jobs": []}
    assert [asking.ask("GET", f"/assets/{one.id}").status for one in output] == [404] * len(output)


def test_a_prompt_that_is_nowhere_has_expired() -> None:
    asking = planned({"seconds": 60})
    id = asking.submit()
    asking.source.inner.reset(["queue"])  # type: ignore[attr-defined]

    assert asking.job(id).status == "expired"


def test_links_hold_the_prefix_and_are_relative_when_they_are_to_be() -> None:
    absolute = V2Client(v2_source(prefix="/deployment/d1"), prefix="/deployment/d1")
    relative = V2Client(
        v2_source(prefix="/deployment/d1", links="relative"), prefix="/deployment/d1"
    )

    one, other = absolute.job(absolute.submit()), relative.job(relative.submit())

    assert one.urls.self == f"http://127.0.0.1:8189/deployment/d1/api/v2/jobs/{one.id}"
    assert other.urls.cancel == f"/deployment/d1/api/v2/jobs/{other.id}/cancel"
    assert V2Client(absolute.source).ask("GET", "/jobs").status == 404


@pytest.mark.parametrize("scenario", ["success", "execution-error"])
def test_a_job_of_a_deployment_has_what_it_printed_once_it_is_over(scenario: str) -> None:
    here = V2Client(v2_source(scenario, prefix="/deployment/d1"), prefix="/deployment/d1")
    plain = client(scenario)

    id, other = here.submit(), plain.submit()
    here.wait()
    plain.wait()
    done = here.job(id)

    assert done.logs and done.completed_at == done.logs.captured_at
    lines = done.logs.text.splitlines()
    assert (lines[0], lines[-1][:18]) == ("got prompt", "Prompt executed in")
    failed = done.error is not None and f"processing !!! {done.error.message}" in done.logs.text
    assert failed is (done.status == "failed")
    assert b'"logs"' not in plain.ask("GET", f"/jobs/{other}").body
    assert b'"logs"' not in here.ask("POST", f"/jobs/{id}/cancel").body


def test_links_are_those_of_the_proxy_in_front() -> None:
    told = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "gpu.example"}
    client = V2Client(v2_source(content="redirect"), **told)

    id = client.submit()
    client.wait()
    job = client.job(id)

    assert job.urls.events == f"https://gpu.example/api/v2/jobs/{id}/events"
    assert job.outputs[0].url.startswith("https://gpu.example/comfyrec-storage/")


def test_dates_are_those_of_the_servers_clock() -> None:
    options = ServerOptions(surfaces=(SurfaceChoice("v2"),), epoch_ms=1_900_000_000_000)
    client = V2Client(scenario_source([choose("success")], options))

    job = client.job(client.submit())
    asset = json.loads(client.upload(b"x").body)

    assert job.created_at == "2030-03-17T17:46:40.000+00:00"
    assert job.expires_at == "2030-03-18T17:46:40.000+00:00"
    assert asset["created_at"].startswith("2030-03-17")


def test_a_key_is_asked_for_where_one_is_set() -> None:
    asking = client(token="sesame")

    nobody = asking.ask("GET", "/jobs")
    wrong = asking.ask("GET", "/jobs", Authorization="Bearer semolina")
    right = asking.ask("GET", "/jobs", Authorization="bearer sesame")

    assert [nobody.status, wrong.status, right.status] == [401, 401, 200]
    assert code(wrong) == "unauthorized"
    assert dict(wrong.headers)["WWW-Authenticate"] == "Bearer"


def test_a_route_takes_its_methods_alone() -> None:
    asking = client()

    wrong = asking.ask("PUT", "/jobs")

    assert wrong.status == 405
    assert dict(wrong.headers)["Allow"] == "POST, GET"
    assert dict(asking.ask("GET", "/assets/from-hash").headers)["Allow"] == "POST"
    assert asking.ask("GET", "/jobs/none").status == 404
    assert asking.ask("GET", "/assets/none/other").status == 404


def test_the_native_api_is_there_when_it_is_named() -> None:
    both = V2Client(v2_source(native=True))
    alone = client()

    assert both.ask("GET", "/api/queue").status == 200
    assert alone.ask("GET", "/api/queue").status == 404


def test_what_is_reset_is_forgotten() -> None:
    asking = client("worker-dead")
    stream = asking.listen(asking.submit())
    asking.source.reset(["queue", "history", "files", "counters"])
    asking.wait(1)

    assert asking.read("GET", "/jobs")[1] == {"jobs": []}
    assert not stream.states or stream.states[-1] in ("queued", "running", "expired")


def test_every_native_event_has_its_place_in_the_table_or_says_nothing_of_a_job() -> None:
    silent = {
        "feature_flags", "logs", "assets.seed.started", "assets.seed.completed",
        "assets.seed.fast_complete", "assets.seed.enrich_complete",
    }  # fmt: skip
    named = {name for name, kind in events.KNOWN.items() if kind in HEARD}

    assert named | silent >= set(events.KNOWN) - {"notification"}
    assert not named & silent


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        ({}, "succeeded"),
        ({"status": {"status_str": "success", "messages": []}}, "succeeded"),
        ({"status": {"status_str": "error", "messages": [["execution_error", {}]]}}, "failed"),
        (
            {"status": {"status_str": "error", "messages": [["execution_interrupted", {}]]}},
            "canceled",
        ),
        ({"status": {"status_str": "error", "messages": None}}, "failed"),
        ({"status": {"status_str": "error", "messages": ["odd", ["x"]]}}, "failed"),
        ({"status": "odd"}, "succeeded"),
    ],
)
def test_a_history_entry_says_how_a_job_ended(entry: Any, state: str) -> None:
    assert ended_by(entry).state == state


def test_a_refusal_of_unknown_classes_says_beside_it_how_to_go_on() -> None:
    workflow = {"1": {"class_type": "Gone", "inputs": {}}}

    answer = client().ask("POST", "/jobs", {"workflow": workflow})

    assert (answer.status, code(answer)) == (422, "invalid_workflow")
    assert "--learn WORKFLOW.json" in dict(answer.headers)[HINT_HEADER]
    assert answer.status in HINTED
