"""The outputs are listed, and `/view` does not find them."""

from __future__ import annotations

from fake_server.scenarios.kit import VIEW, Directions, Parameters, Scenario, respond, threads
from fake_server.source import Response


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(respond(VIEW, "GET /view", Response(404)),))


SCENARIO = Scenario(
    name="view-404",
    row="A82",
    category="outputs",
    summary=__doc__,
    correct="reports the outputs all the same, or an error that says what was not found",
    keeps=("K5", "K9"),
    evidence=threads("measured"),
    truth=("success", "error"),
    reason=("404", "ComfyUI_", "output_unavailable"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
