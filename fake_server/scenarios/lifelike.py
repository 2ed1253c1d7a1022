"""Nothing goes wrong, and nodes take about as long as they would: steps, previews, pauses."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, threads


def direct(settings: Parameters) -> Directions:
    return Directions(engine={"lifelike": True})


SCENARIO = Scenario(
    name="lifelike",
    category="normal",
    summary=__doc__,
    correct="reports success, with the outputs of the history entry",
    keeps=("K5", "K7"),
    evidence=threads("measured: the order of frames of a normal run"),
    direct=direct,
)
