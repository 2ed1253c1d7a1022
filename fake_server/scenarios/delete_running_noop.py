"""The running prompt is deleted from the queue: 200, and it runs on and delivers."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    slow,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def delete(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/queue", body=write_json({"delete": [prompt.id]}))

    return Directions(
        operators=(third_party_request("a deletion", delete),), plan=slow(0.3, steps=3)
    )


SCENARIO = Scenario(
    name="delete-running-noop",
    row="A69",
    category="interrupt",
    summary=__doc__,
    correct="goes on waiting, and reports success",
    keeps=("K1", "K3"),
    evidence=threads("MCP#1632"),
    direct=direct,
)
