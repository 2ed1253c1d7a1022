"""The prompt is accepted with 200, and `node_errors` says which outputs will never come."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    patch_json,
    posts,
    threads,
)
from fake_server.source import Request

ERROR = {
    "type": "required_input_missing",
    "message": "Required input is missing",
    "details": "images",
    "extra_info": {"input_name": "images"},
}


def direct(settings: Parameters) -> Directions:
    def refused(value: Any, request: Request, observer: Observer) -> Any:
        entry = {"errors": [ERROR], "dependent_outputs": ["77"], "class_type": "SaveImage"}
        return {**value, "node_errors": {"77": entry}}

    partly = patch_json(posts, "the answer to POST /prompt", refused, needed=True)
    return Directions(operators=(partly,))


SCENARIO = Scenario(
    name="partial-accept",
    row="A54",
    category="errors",
    summary=__doc__,
    correct="waits for the outputs that were accepted, and reports success",
    keeps=("K3", "K5"),
    evidence=threads("CU#9076", "measured"),
    direct=direct,
    shows_on=("v2",),
)
