"""What is asked of Comfy API v2, in which order, and what comes of each answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from comfyrec.client.http.exchange import HttpRequest, HttpResponse, Unanswered
from comfyrec.client.v2.conversations import (
    LABEL,
    Pause,
    bring,
    code_of,
    fetch,
    look,
    request_to,
    submit,
)
from comfyrec.errors import BadAnswer, OutputError, Rejected

JOB = {
    "id": "7", "status": "queued", "created_at": "", "started_at": None, "completed_at": None,
    "expires_at": "", "queue_position": None, "progress": None, "outputs": [], "error": None,
    "urls": {"self": "/s", "events": "/e", "cancel": "/c"},
}  # fmt: skip


def answer(status: int, value: Any = None, **more: str) -> HttpResponse:
    body = b"" if value is None else json.dumps(value).encode()
    return HttpResponse(status=status, body=body, url="http://a:1/x", **more)


def error(status: int, code: str, **more: str) -> HttpResponse:
    return answer(status, {"error": {"code": code, "message": "why"}}, **more)


def told(conversation: Any, answers: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Carry a conversation out; gives what it returns and what it asked."""
    steps = []
    left = list(answers)
    try:
        step = next(conversation)
        while True:
            steps.append(step)
            came = None if isinstance(step, Pause) else left.pop(0)
            if isinstance(came, Exception):
                step = conversation.throw(came)
            else:
                step = conversation.send(came)
    except StopIteration as end:
        assert left == []
        return end.value, steps


def submitted(*answers: Any) -> tuple[Any, list[Any]]:
    return told(submit({"1": {}}, key="k", extra_data={"api_key_comfy_org": "x"}), answers)


def test_a_job_is_submitted_under_its_key_and_label() -> None:
    job, [asked] = submitted(answer(201, JOB))

    body = json.loads(asked.body)
    assert job.id == "7"
    assert (asked.method, asked.path) == ("POST", "/api/v2/jobs")
    assert asked.headers == (("Idempotency-Key", "k"),)
    assert body["metadata"] == {LABEL: "k"}
    assert body["extra_data"] == {"api_key_comfy_org": "x"}


@pytest.mark.parametrize(
    ("after", "pause"), [("3", 3.0), ("", 1.0), ("Thu, 01 Jan", 1.0), ("0", 0.1), ("999", 30.0)]
)
def test_a_busy_server_is_waited_for(after: str, pause: float) -> None:
    job, steps = submitted(error(429, "queue_full", retry_after=after), answer(201, JOB))

    assert job.id == "7"
    assert steps[1] == Pause(pause)


def test_a_server_that_stays_busy_is_given_up() -> None:
    with pytest.raises(Rejected, match="queue_full"):
        submitted(*[error(429, "queue_full")] * 60)


@pytest.mark.parametrize(
    "lost", [error(500, "upstream_error"), error(422, "idempotency_key_reuse")]
)
def test_a_job_whose_answer_was_lost_is_found_in_the_list(lost: HttpResponse) -> None:
    others = {"id": "6", "metadata": {LABEL: "other"}}
    page = {"jobs": [others, {"id": "7", "metadata": {LABEL: "k"}}]}

    job, steps = submitted(Unanswered("cut"), lost, answer(200, page), answer(200, JOB))

    assert job.id == "7"
    assert steps[-2].query == ((f"metadata[{LABEL}]", "k"),)
    assert steps[-1].path == "/api/v2/jobs/7"


@pytest.mark.parametrize(
    "listed", [answer(404), answer(200, {"jobs": []}), answer(200, {"jobs": [{"id": 3}]})]
)
def test_where_nobody_can_say_whether_there_is_a_job_that_is_said(listed: HttpResponse) -> None:
    with pytest.raises(Unanswered, match="whether there is a job"):
        submitted(error(500, "upstream_error"), listed)


def test_a_refused_connection_is_not_tried_again() -> None:
    with pytest.raises(Unanswered):
        submitted(Unanswered("refused", refused=True))
    with pytest.raises(Unanswered):
        submitted(*[Unanswered("cut")] * 5)


def test_a_refusal_has_the_code_the_reason_and_a_remedy() -> None:
    with pytest.raises(Rejected) as refused:
        submitted(error(422, "workflow_format_ui"))

    assert refused.value.error_type == "workflow_format_ui"
    assert "workflow_format_ui: why" in str(refused.value)
    assert "API format" in str(refused.value)


def test_labels_are_left_out_where_they_are_not_taken() -> None:
    _, steps = submitted(error(422, "metadata_not_supported"), answer(201, JOB))

    assert "metadata" not in json.loads(steps[-1].body)


def test_what_is_not_a_job_is_a_bad_answer() -> None:
    for wrong in (answer(404, {}), answer(200, {}), answer(200, [])):
        with pytest.raises(BadAnswer):
            told(look(HttpRequest(path="/x")), [wrong])


@pytest.mark.parametrize(
    ("link", "url", "bare"),
    [
        ("/deployment/d/api/v2/jobs/7", "http://a:1/deployment/d/api/v2/jobs/7", False),
        ("http://a:1/x", "http://a:1/x", False),
        ("http://b:1/x", "http://b:1/x", True),
        ("https://a:1/x", "https://a:1/x", True),
        ("//b/x", "http://b/x", True),
    ],
)
def test_a_link_takes_the_key_to_its_own_host_alone(link: str, url: str, bare: bool) -> None:
    asked = request_to("http://a:1", link)

    assert (asked.path, asked.bare) == (url, bare)


def test_a_file_is_uploaded_with_its_type_in_front() -> None:
    id, [asked] = told(bring(b"abc", "a.png", boundary="x"), [answer(201, {"id": "5"})])

    assert id == "5"
    assert asked.body.index(b'name="content_type"') < asked.body.index(b'name="file"')
    assert b"image/png" in asked.body
    with pytest.raises(BadAnswer):
        told(bring(b"abc", "a.png", boundary="x"), [answer(200, {})])


def test_bytes_are_fetched_through_redirects_without_the_key() -> None:
    away = answer(302, location="http://storage/x?sig=1")

    data, steps = told(fetch("5", "a.png"), [away, HttpResponse(status=200, body=b"abc")])

    assert data == b"abc"
    assert [step.bare for step in steps] == [False, True]
    with pytest.raises(OutputError):
        told(fetch("5", "a.png"), [answer(404)])


def test_a_body_outside_the_envelope_has_no_code() -> None:
    assert code_of(answer(500)) == code_of(answer(400, [1])) == ""
