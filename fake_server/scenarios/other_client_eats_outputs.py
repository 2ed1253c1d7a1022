"""The `executed` frames go to another client."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, drop, event, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(drop(event("executed"), "executed"),))


SCENARIO = Scenario(
    name="other-client-eats-outputs",
    row="A45",
    category="cross-talk",
    summary=__doc__,
    correct="takes the outputs from the history",
    keeps=("K5",),
    evidence=threads("KR#310"),
    direct=direct,
)
