"""Requests, and responses of every kind, read or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client.http import requests as asks
from comfyrec.client.http.exchange import HttpRequest, HttpResponse
from comfyrec.errors import BadAnswer

ASK = HttpRequest(path="/history/p")


def text(body: str, status: int = 200, kind: str = "text/plain") -> HttpResponse:
    return HttpResponse(status=status, body=body.encode(), content_type=kind)


def test_a_history_without_the_prompt_is_none():
    assert asks.read_history(ASK, text("{}"), "p") is None
    assert asks.read_history(ASK, text('{"q": {"outputs": {}}}'), "p") is None
    assert asks.read_history(ASK, text('{"p": {"outputs": {}}}'), "p") == {"outputs": {}}


def test_api_errors_keep_status_and_body_as_json_and_as_text():
    with pytest.raises(BadAnswer) as by_json:
        asks.read_json(ASK, text('{"error": {"message": "no", "details": "4"}}', 400))
    with pytest.raises(BadAnswer) as by_text:
        asks.read_json(ASK, text("500 Internal Server Error", 500))

    assert (by_json.value.http_status, by_json.value.why) == (400, "no: 4")
    assert (by_text.value.http_status, by_text.value.why) == (500, "500 Internal Server Error")


def test_an_upload_answer_gives_name_subfolder_and_type():
    talk = asks.upload(b"x", "a.png", boundary="b")
    ask = next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send(text('{"name": "a (1).png", "subfolder": "", "type": "input"}'))

    assert ask.path == "/upload/image"
    assert end.value.value == asks.Uploaded("a (1).png", "", "input")


def test_a_history_with_nan_is_read():
    entry = asks.read_history(ASK, text('{"p": {"outputs": {"1": {"v": [NaN, Infinity]}}}}'), "p")

    assert entry is not None
    assert str(entry["outputs"]["1"]["v"]) == "[nan, inf]"


@given(st.binary() | st.text().map(str.encode), st.integers(200, 599))
def test_any_answer_is_read_or_refused_in_one_line(body: bytes, status: int):
    answer = HttpResponse(status=status, body=body)
    reason = asks.reason_of(answer)

    assert reason
    assert "\n" not in reason
    assert len(reason) <= 300
    for read in (asks.read_json, lambda a, b: asks.read_history(a, b, "p"), asks.read_queue):
        try:
            read(ASK, answer)
        except BadAnswer as bad:
            assert "\n" not in str(bad)


QUEUE = {
    "queue_running": [[3, "r", {}, {}, []]],
    "queue_pending": [
        [12.5, "late", {}, {}, []],
        [-83, "front", {}, {}, [], {}],
        [4, "b", {}, {}, []],
        [4, "a", {}, {}, []],
        None,
        [],
        [1],
        [None, "odd"],
        {"prompt_id": "an object"},
    ],
}


def test_the_queue_is_read_in_the_order_it_will_run():
    queued = asks.read_queue(ASK, text(json.dumps(QUEUE)))

    assert queued.pending == ("front", "odd", "a", "b", "late")
    assert asks.place_in(queued, "r") == asks.QueuePlace(running=True)
    assert asks.place_in(queued, "front") == asks.QueuePlace(position=1)
    assert asks.place_in(queued, "nobody") == asks.QueuePlace()


# --- the end of a prompt, wherever it is told ----------------------------------------------------

OUTPUTS = {"9": {"images": [{"filename": "a.png"}]}}
ERROR = {"exception_message": "out of luck", "node_id": "3"}
NOTHING = HttpResponse(status=404)
JOBS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "completed": (
        {"status": "completed", "outputs": OUTPUTS},
        {"outputs": OUTPUTS, "status": {"status_str": "success", "completed": True, "messages": []},
         "meta": {}},
    ),
    "failed": (
        {"status": "failed", "execution_error": ERROR},
        {"outputs": {}, "status": {"status_str": "error", "completed": False,
                                   "messages": [["execution_error", ERROR]]}, "meta": {}},
    ),
    "failed, as a text": (
        {"status": "failed", "error_message": "out of luck"},
        {"outputs": {}, "status": {"status_str": "error", "completed": False,
                                   "messages": [["execution_error",
                                                 {"exception_message": "out of luck"}]]},
         "meta": {}},
    ),
    "failed, as JSON in a text": (
        {"status": "failed", "error_message": json.dumps(ERROR)},
        {"outputs": {}, "status": {"status_str": "error", "completed": False,
                                   "messages": [["execution_error", ERROR]]}, "meta": {}},
    ),
    "failed without a reason": (
        {"status": "failed"},
        {"outputs": {}, "status": {"status_str": "error", "completed": False, "messages": []},
         "meta": {}},
    ),
    "cancelled": (
        {"status": "cancelled"},
        {"outputs": {}, "status": {"status_str": "error", "completed": False,
                                   "messages": [["execution_interrupted", {}]]}, "meta": {}},
    ),
    "with a status of its own": (
        {"status": "completed", "execution_status": {"status_str": "error"}, "execution_meta": {}},
        {"outputs": {}, "status": {"status_str": "error"}, "meta": {}},
    ),
    "running": ({"status": "in_progress"}, None),
    "a word that nobody knows": ({"status": "allocated"}, None),
}  # fmt: skip


def looked_up(*responses: HttpResponse) -> tuple[asks.LookedUp, list[str]]:
    conversation, asked = asks.look_up("p"), []
    request = next(conversation)
    for response in responses:
        asked.append(str(request))
        try:
            request = conversation.send(response)
        except StopIteration as end:
            return end.value, asked
    raise AssertionError("it asks on")


@pytest.mark.parametrize("job, entry", JOBS.values(), ids=JOBS)
def test_where_there_is_no_history_the_job_is_asked(job: Any, entry: Any) -> None:
    found, asked = looked_up(NOTHING, text(json.dumps(job)))

    assert (found.entry, found.can_say) == (entry, True)
    assert asked == ["GET /history/p", "GET /api/jobs/p"]


def test_where_there_is_a_history_no_job_is_asked() -> None:
    assert looked_up(text("{}")) == (asks.LookedUp(None), ["GET /history/p"])


@pytest.mark.parametrize("body, can_say", [(b'{"error": "Job not found"}', True), (b"", False)])
def test_a_server_without_either_cannot_say(body: bytes, can_say: bool) -> None:
    found, _ = looked_up(NOTHING, HttpResponse(status=404, body=body))

    assert found == asks.LookedUp(None, can_say)
