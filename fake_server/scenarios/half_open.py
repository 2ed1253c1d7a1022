"""The connection is gone without any sign: no frames, no answers to pings, no close."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, event, freeze, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(freeze("half open", at=event("execution_start")),))


SCENARIO = Scenario(
    name="half-open",
    row="A18",
    category="silence",
    summary=__doc__,
    correct="pings, or asks the history when nothing comes",
    keeps=("K2",),
    evidence=threads("CU#5373"),
    direct=direct,
    shows_on=("cloud",),
)
