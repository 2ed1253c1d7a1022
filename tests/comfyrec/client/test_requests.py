"""Requests, and responses of every kind, read or refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client import requests as asks
from comfyrec.errors import BadAnswer

ASK = asks.HttpRequest(path="/history/p")


def text(body: str, status: int = 200, kind: str = "text/plain") -> asks.HttpResponse:
    return asks.HttpResponse(status=status, body=body.encode(), content_type=kind)


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
    answer = asks.HttpResponse(status=status, body=body)
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
