"""A close with a reason and a reconnect: calls that were renamed in WebSocket libraries."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    cut,
    hold,
    slow,
    threads,
)


def direct(settings: Parameters) -> Directions:
    closed = cut("politely", code=1001)
    return Directions(operators=(closed, hold("until it reacts")), plan=slow(0.05))


SCENARIO = Scenario(
    name="client-library-drift",
    row="A106",
    category="drift",
    summary=__doc__,
    correct="connects again, or asks the history",
    keeps=("K2",),
    evidence=threads("jtyszkiew/ImageSmith#4", "measured: a missing attribute `closed`"),
    direct=direct,
)
