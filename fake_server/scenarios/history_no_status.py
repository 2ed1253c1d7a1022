"""The history entry has no `status`, as other producers write it."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    patch_history,
    threads,
)


def direct(settings: Parameters) -> Directions:
    def entry(entry: dict[str, Any], prompt: ObservedPrompt) -> dict[str, Any]:
        return {key: value for key, value in entry.items() if key != "status"}

    return Directions(operators=(patch_history("no status", entry),))


SCENARIO = Scenario(
    name="history-no-status",
    row="A75",
    category="history",
    summary=__doc__,
    correct="takes the presence of the entry as the end",
    keeps=("K1", "K2"),
    evidence=threads("CU#2523"),
    direct=direct,
)
