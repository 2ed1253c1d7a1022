"""The response to `/object_info` is very large."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    patch_json,
    route,
    threads,
)
from fake_server.source import Request


class ObjectInfoHugeParameters(Parameters, frozen=True, kw_only=True):
    """How many megabytes."""

    mb: Annotated[float, msgspec.Meta(ge=0, le=500)] = 20.0


def direct(settings: ObjectInfoHugeParameters) -> Directions:
    def longer(value: Any, request: Request, observer: Observer) -> Any:
        return {**value, "AVeryLongNode": {"description": "x" * round(settings.mb * 1_000_000)}}

    return Directions(operators=(patch_json(route("GET /object_info"), "its length", longer),))


SCENARIO = Scenario(
    name="object-info-huge",
    row="A102",
    category="drift",
    summary=__doc__,
    correct="does not need it to run a prompt",
    keeps=("K1",),
    evidence=threads("KR#1796"),
    settings=ObjectInfoHugeParameters,
    direct=direct,
)
