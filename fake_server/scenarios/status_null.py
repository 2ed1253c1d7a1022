"""The history entry's `status` is null."""

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
        return {**entry, "status": None}

    return Directions(operators=(patch_history("status is null", entry),))


SCENARIO = Scenario(
    name="status-null",
    row="A75",
    category="history",
    summary=__doc__,
    correct="takes the presence of the entry as the end",
    keeps=("K1", "K2"),
    evidence=threads("the server's code: status is optional"),
    direct=direct,
)
