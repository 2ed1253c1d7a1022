"""Another user deletes the history entry before its outputs have been read."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    no_node,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def delete(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/history", body=write_json({"delete": [prompt.id]}))

    return Directions(operators=(third_party_request("a deletion", delete, at=no_node),))


SCENARIO = Scenario(
    name="history-deleted",
    row="A76",
    category="history",
    summary=__doc__,
    correct="reports what the frames said, or that the entry is gone; it does not wait for it",
    keeps=("K1", "K2"),
    evidence=threads("SwarmUI's code deletes entries"),
    truth=("success", "lost"),
    direct=direct,
)
