"""A refusal of an old server: `error` is a string and `node_errors` a list."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    json_response,
    posts,
    respond,
    threads,
)


def direct(settings: Parameters) -> Directions:
    old = json_response({"error": "no prompt", "node_errors": []}, 400)
    return Directions(operators=(respond(posts, "POST /prompt", old, needed=True),))


SCENARIO = Scenario(
    name="node-errors-list",
    row="A56",
    category="errors",
    summary=__doc__,
    correct="reads both shapes",
    keeps=("K1", "K9"),
    evidence=threads("CU#5303"),
    truth=("rejected",),
    reason=("no prompt",),
    direct=direct,
)
