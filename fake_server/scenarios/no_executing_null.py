"""`execution_success` is the last frame; no null `executing` follows."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, drop, no_node, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(drop(no_node, "executing with a null node"),))


SCENARIO = Scenario(
    name="no-executing-null",
    row="A03",
    category="completion",
    summary=__doc__,
    correct="takes either signal as the end",
    keeps=("K1", "K2"),
    evidence=threads("Comfy Cloud's documentation", "measured: prompts without a client_id"),
    direct=direct,
)
