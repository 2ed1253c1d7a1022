"""The first `executed` is a preview; the real save comes later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from fake_server.scenarios.kit import (
    TWO_OUTPUTS,
    Directions,
    Parameters,
    Scenario,
    sinks,
    threads,
)


class ExecutedIsNotTheEndParameters(Parameters, frozen=True, kw_only=True):
    """How many outputs come late, and how late."""

    outputs: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    gap_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 300


def direct(settings: ExecutedIsNotTheEndParameters) -> Directions:
    def plan(graph: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        late = sinks(graph)[: settings.outputs]
        return {name: {"seconds": settings.gap_ms / 1000, "at_least": True} for name in late}

    return Directions(plan=plan)


SCENARIO = Scenario(
    name="executed-is-not-the-end",
    row="A04",
    category="completion",
    summary=__doc__,
    correct="waits for the end of the prompt, and reports all of its outputs",
    keeps=("K1", "K5"),
    evidence=threads("CU#8395", "PNL#365", "PNL#180"),
    settings=ExecutedIsNotTheEndParameters,
    direct=direct,
    workflow=TWO_OUTPUTS,
    shows_on=("cloud",),
)
