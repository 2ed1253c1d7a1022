"""All who look at a request read the same: the simulator, scenarios, a replay, a fixture, check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.check.traffic import traffic_of
from comfyrec.http import request as reader
from comfyrec.testing.observed import Witness
from comfyrec.timeline.model import Exchange, HttpMessage
from fake_server.replay.recorded.request_key import recorded_request_key, request_key_of
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choice_of
from fake_server.scenarios.kit import PLAIN, route
from fake_server.scenarios.kit.observer import JournalNote, Observer
from fake_server.server.journal import Journal
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Accept, Request, RequestReceived, Respond, UpgradeRequested, Woke

HOST = (("Host", "127.0.0.1"),)
UPGRADE = (
    ("Host", "127.0.0.1"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
IDS = st.text("ab-%2F+ \xfc", max_size=4)


@st.composite
def written(draw: st.DrawFn, word: str) -> str:
    """A path segment as some client may write it: characters percent-encoded or not, or another."""
    letters = [draw(st.sampled_from([c, f"%{ord(c):02x}", f"%{ord(c):02X}"])) for c in word]
    return "".join(letters) + draw(st.sampled_from(["", "", "", "", "x", "%2F", " "]))


@st.composite
def targets(draw: st.DrawFn, word: str) -> str:
    """A target around a word: absolute or not, with and without /api, query, fragment, slashes."""
    origin = draw(st.sampled_from(["", "", "http://127.0.0.1:8188", "HTTPS://u@[::1]", "//other"]))
    slash = draw(st.sampled_from(["/", "/", "/", "//", ""]))
    prefix = draw(st.sampled_from(["", "", "api/", "%61pi/", "api/api/", "API/"]))
    end = draw(st.sampled_from(["", "", "/", "?", "?a=1&a=2", "#b", "#b?c", "?x=/api/#"]))
    return origin + slash + prefix + draw(written(word)) + end


def exchange_of(request: Request) -> Exchange:
    """The same request in a recording."""
    message = HttpMessage(
        f"{request.method} {request.target} HTTP/1.1", request.headers, request.body, 0, 0, 0
    )
    return Exchange(0, 1, message)


def seen(request: Request) -> Any:
    """What a fixture saw of it."""
    witness = Witness(SimulatedServer())
    list(witness.handle(RequestReceived(1, request), 0))
    return witness.requests[0]


@pytest.mark.slow
@given(targets("queue"))
def test_a_target_is_the_queue_for_all_of_them_or_for_none(target: str) -> None:
    request = Request("GET", target, HOST)

    (reply,) = (
        action
        for action in SimulatedServer().handle(RequestReceived(1, request), 0)
        if isinstance(action, Respond)
    )
    traffic = traffic_of([JournalNote(0, "asked", 1, f"GET {target}")], [0.0])

    simulated = b"queue_running" in reply.answer.body
    assert simulated is (request.path == "/queue")
    assert simulated is route("GET /queue")(request)
    assert simulated is (seen(request).path == "/queue")
    assert simulated is (request_key_of(request, str).path == "/queue")
    assert simulated is (exchange_of(request).path == "/queue")
    assert bool(traffic.queue_requests) is f"{request.path}/".startswith("/queue/")


@pytest.mark.slow
@given(targets("history"), IDS)
def test_a_live_and_a_recorded_request_have_the_same_key(target: str, prompt_id: str) -> None:
    request = Request("GET", f"{target}&id={prompt_id}", HOST, b'{"a": [1]}')

    assert request_key_of(request, str) == recorded_request_key(exchange_of(request))


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(["clientId", "clientid", "x"]), IDS), max_size=4))
def test_a_client_has_the_same_id_for_all_of_them(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    happened = UpgradeRequested(1, Request("GET", f"/ws?{query}", UPGRADE))
    server, observer = SimulatedServer(), Observer(seed=1, ask=lambda request: None)
    witness = Witness(server)

    accepted = any(isinstance(action, Accept) for action in witness.handle(happened, 0))
    observer.from_client(happened)

    asked_for = happened.request.client_id
    assert accepted
    assert [asked_for or None] == [socket.client_id for socket in witness.sockets]
    assert [note.detail for note in observer.journal] == [asked_for]
    assert (exchange_of(happened.request).asked.first("clientId") or "") == asked_for
    assert not asked_for or asked_for in server.engine.clients.client_ids


def test_the_body_of_a_prompt_is_parsed_once_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str | bytes] = []
    loads = reader.loads

    def counting(text: str | bytes) -> Any:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(reader, "loads", counting)
    body = json.dumps({"prompt": PLAIN, "client_id": "me"})
    witness = Witness(scenario_source([choice_of("queued-behind"), choice_of("duplicate-status")]))
    journal = Journal()

    happened = RequestReceived(1, Request("POST", "/prompt", HOST, body.encode()))
    journal.happened(happened, 0)
    replies = [action for action in witness.handle(happened, 0) if isinstance(action, Respond)]

    assert [reply.answer.status for reply in replies] == [200]
    assert [text for text in parsed if text == body] == [body]
    assert [seen.graph for seen in witness.prompts] == [PLAIN]


def test_what_the_server_makes_of_a_prompt_leaves_the_request_as_it_came() -> None:
    graph = json.loads(json.dumps(PLAIN))
    graph["1"]["inputs"]["width"] = "64"
    body = {"prompt": graph, "client_id": "me", "extra_data": {"a": 1}}
    request = Request("POST", "/prompt", HOST, json.dumps(body).encode())
    server = SimulatedServer()
    assert request.json == body

    list(server.handle(RequestReceived(1, request), 0))
    while server.engine.running or server.engine.pending:
        list(server.handle(Woke(), server.engine.time.now + 1_000_000))

    (entry,) = server.engine.history.values()
    assert request.json == body
    assert entry["prompt"][2]["1"]["inputs"]["width"] == 64
