"""`executed` has `"output": null`, as for a cached node without a ui."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    event,
    mutate,
    prerun,
    threads,
)


def direct(settings: Parameters) -> Directions:
    def without(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "output": None}

    return Directions(operators=(mutate(event("executed"), "executed", without), prerun()))


SCENARIO = Scenario(
    name="executed-output-null",
    row="A08",
    category="completion",
    summary=__doc__,
    correct="takes it as no outputs, and reads the outputs from the history",
    keeps=("K5", "K6"),
    evidence=threads("CLI#173", "the server's code: cached_ui.get('output')"),
    direct=direct,
    shows_on=("cloud",),
)
