"""The response to `POST /prompt` is 200, but has no prompt_id."""

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
    nothing = json_response({"number": 1, "node_errors": {}})
    return Directions(operators=(respond(posts, "POST /prompt", nothing, needed=True),))


SCENARIO = Scenario(
    name="no-prompt-id-in-200",
    row="A63",
    category="errors",
    summary=__doc__,
    correct="reports that it was rejected: there is nothing to wait for",
    keeps=("K1",),
    evidence=threads("comfy-cli's code guards against it"),
    truth=("rejected",),
    direct=direct,
)
