"""Somebody clears the queue while the prompt waits in it."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    queued_before,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def clear(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/queue", body=write_json({"clear": True}))

    return Directions(
        operators=(
            third_party_request("a clearing", clear, at=None, ends="cancelled"),
            queued_before("somebody else", n=1),
        ),
        other_users_s=2,
    )


SCENARIO = Scenario(
    name="queue-cleared",
    row="A70",
    category="interrupt",
    summary=__doc__,
    correct="finds it neither in the history nor in the queue, and reports it cancelled",
    keeps=("K1", "K2"),
    evidence=threads("MCP#1632"),
    truth=("cancelled", "lost"),
    direct=direct,
    shows_on=("cloud",),
)
