"""Another job under the client's own key."""

from __future__ import annotations

import json
from typing import Any

from fake_server.scenarios.kit import Stage, same_key_job
from fake_server.source import Request, RequestReceived
from tests.support.scripted_source import Scripted

HEADERS = (("Host", "here"), ("X-API-Key", "mine"), ("Accept", "*/*"))
GRAPH = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "a"}}}


def stage() -> tuple[Stage, Scripted]:
    inner = Scripted()
    return Stage(lambda: inner, [same_key_job("another job")]), inner


def post(of: Stage, body: Any) -> None:
    sent = Request("POST", "/api/prompt", HEADERS, json.dumps(body).encode())
    list(of.handle(RequestReceived(1, sent), 0))


def requests_of(inner: Scripted) -> list[RequestReceived]:
    return [one for one in inner.happened if isinstance(one, RequestReceived)]


def test_it_comes_before_the_clients_own_with_its_key_and_other_outputs() -> None:
    played, inner = stage()
    post(played, {"prompt": GRAPH, "client_id": "c"})
    other, own = requests_of(inner)

    assert other.exchange < 0 < own.exchange
    assert other.request.header("X-API-Key") == "mine"
    assert other.request.header("Accept") == ""
    assert "client_id" not in other.request.json
    assert [*other.request.json["prompt"]] == [*GRAPH]
    assert other.request.json["prompt"] != GRAPH
    assert played.finish() == []


def test_it_comes_once_and_not_beside_what_is_not_a_prompt() -> None:
    played, inner = stage()
    for body in ([], {"prompt": 7}, {"prompt": {"1": 7}}):
        post(played, body)
    assert len(requests_of(inner)) == 3
    assert played.finish() != []

    post(played, {"prompt": GRAPH})
    post(played, {"prompt": GRAPH})

    assert len(requests_of(inner)) == 6
