"""An interrupt comes after the prompt has ended: 200, but nothing was stopped."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    event,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def stop(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/interrupt", body=write_json({"prompt_id": prompt.id}))

    return Directions(
        operators=(third_party_request("a late interrupt", stop, at=event("execution_success")),)
    )


SCENARIO = Scenario(
    name="interrupt-too-late",
    row="A67",
    category="interrupt",
    summary=__doc__,
    correct="reports what the history says",
    keeps=("K1", "K3"),
    evidence=threads("measured"),
    direct=direct,
)
