"""An interrupt names an unknown prompt: 200, and the client's prompt runs on."""

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
    unknown = {"prompt_id": "00000000-0000-4000-8000-000000000000"}

    def stop(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/interrupt", body=write_json(unknown))

    return Directions(
        operators=(third_party_request("an interrupt of nothing", stop),), plan=slow(0.3, steps=3)
    )


SCENARIO = Scenario(
    name="interrupt-noop",
    row="A67",
    category="interrupt",
    summary=__doc__,
    correct="reports what the history says",
    keeps=("K1", "K3"),
    evidence=threads("measured: the workflow executor answers `interrupted` all the same"),
    direct=direct,
)
