"""Messages are compressed for a client that offered permessage-deflate."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import Directions, Parameters, Scenario, event, mutate, threads


def direct(settings: Parameters) -> Directions:
    def longer(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "padding": "easily compressed " * 400}

    return Directions(operators=(mutate(event("executed"), "much text in executed", longer),))


SCENARIO = Scenario(
    name="deflate",
    row="A51",
    category="binary",
    summary=__doc__,
    correct="offers only what it can decompress",
    keeps=("K5", "K6"),
    evidence=threads("measured: the server negotiates it"),
    direct=direct,
)
