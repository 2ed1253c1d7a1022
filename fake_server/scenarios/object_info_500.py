"""One bad node makes `/object_info` fail."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    respond,
    route,
    text_response,
    threads,
)


def direct(settings: Parameters) -> Directions:
    trouble = text_response("500 Internal Server Error\n\nServer got itself in trouble", 500)
    wild = route("GET /object_info", "GET /object_info/{}")
    return Directions(operators=(respond(wild, "GET /object_info", trouble),))


SCENARIO = Scenario(
    name="object-info-500",
    row="A102",
    category="drift",
    summary=__doc__,
    correct="does not need it to run a prompt",
    keeps=("K1",),
    evidence=threads("CU#6074", "CU#2681"),
    direct=direct,
)
