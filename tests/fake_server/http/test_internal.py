"""The console, and who reads along."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import (
    Request,
    RequestReceived,
    Send,
)
from tests.support.source_client import GRAPH, ask, json_of, run_out, types, upgrade


def test_the_console_is_read_along_by_those_who_subscribed() -> None:
    server = SimulatedServer(
        plan_for=always(NodePlans({"1": {"raise": {"type": "ValueError", "message": "no"}}}))
    )
    upgrade(server)
    ask(server, "PATCH", "/internal/logs/subscribe", {"clientId": "me", "enabled": True})

    body = json.dumps({"prompt": GRAPH, "client_id": "me"}).encode()
    actions = run_out(
        server, list(server.handle(RequestReceived(2, Request("POST", "/prompt", (), body)), 0))
    )

    logs = [
        json.loads(a.message)["data"]
        for a in actions
        if isinstance(a, Send) and '"logs"' in a.message
    ]
    lines = [entry["m"] for data in logs for entry in data["entries"]]
    assert [bool(data["size"]) for data in logs] == [True, False, False, False]
    assert "got prompt" in lines[0]
    assert "!!! Exception during processing !!! no" in lines[1]
    assert "Traceback" in lines[2]
    assert "Prompt executed in" in lines[3]
    assert types(actions)[-1] == "logs"
    assert types(actions).index("logs", 1) < types(actions).index("execution_error")
    assert "got prompt" in json_of(ask(server, "GET", "/internal/logs"))
    assert len(json_of(ask(server, "GET", "/internal/logs/raw"))["entries"]) >= 4


def test_a_subscription_ends_when_it_is_taken_back_or_its_socket_is_gone() -> None:
    server = SimulatedServer()
    upgrade(server)
    for enabled in (True, False):
        ask(server, "PATCH", "/internal/logs/subscribe", {"clientId": "me", "enabled": enabled})
    ask(server, "PATCH", "/internal/logs/subscribe", {"clientId": "gone", "enabled": True})
    ask(server, "POST", "/prompt", b"")

    assert server.context.subscribers == {}


@pytest.mark.parametrize(
    "body", [{"clientId": "a"}, {"enabled": True}, [], "x", {"clientId": [], "enabled": 1}]
)
def test_a_subscription_without_its_fields_breaks_the_handler(body: Any) -> None:
    assert ask(SimulatedServer(), "PATCH", "/internal/logs/subscribe", body).status == 500
