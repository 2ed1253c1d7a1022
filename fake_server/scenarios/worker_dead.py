"""Prompts are accepted but never start: the server's only worker has died."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, never_start, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(never_start("prompts"),))


SCENARIO = Scenario(
    name="worker-dead",
    row="A64",
    category="errors",
    summary=__doc__,
    correct="gives up at its own limit, and names the prompt",
    keeps=("K2", "K8"),
    evidence=threads("CU#14706", "the server's code: one thread without a guard"),
    truth=("timed-out",),
    direct=direct,
    shows_on=("v2", "cloud"),
)
