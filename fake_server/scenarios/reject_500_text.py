"""The prompt is refused with 500 and plain text."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    posts,
    respond,
    text_response,
    threads,
)

TEXT = "500 Internal Server Error\n\nServer got itself in trouble"


def direct(settings: Parameters) -> Directions:
    trouble = respond(posts, "POST /prompt", text_response(TEXT, 500), needed=True)
    return Directions(operators=(trouble,))


SCENARIO = Scenario(
    name="reject-500-text",
    row="A55",
    category="errors",
    summary=__doc__,
    correct="reports that it was rejected, whatever the body is",
    keeps=("K1", "K9"),
    evidence=threads("CU#3368", "measured"),
    truth=("rejected",),
    reason=("500",),
    direct=direct,
    shows_on=("v2",),
)
