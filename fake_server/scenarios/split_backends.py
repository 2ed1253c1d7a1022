"""A load balancer sends the socket to one server and the prompt to another."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, threads


def direct(settings: Parameters) -> Directions:
    return Directions(split=True)


SCENARIO = Scenario(
    name="split-backends",
    row="A43",
    category="cross-talk",
    summary=__doc__,
    correct="asks the history when nothing comes",
    keeps=("K2",),
    evidence=threads("CU#8154"),
    direct=direct,
)
