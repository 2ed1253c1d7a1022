"""Two JSON objects arrive in one text message, as some proxies make of them."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, coalesce, event, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(coalesce(event("execution_start", "executed"), "two events"),))


SCENARIO = Scenario(
    name="many-objects-per-frame",
    row="A52",
    category="binary",
    summary=__doc__,
    correct="reads both, or skips the message and asks the history",
    keeps=("K6",),
    evidence=threads("comfyui-autoflow's code parses several objects in a frame"),
    direct=direct,
    shows_on=("cloud",),
)
