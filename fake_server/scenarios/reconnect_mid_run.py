"""The connection breaks and comes back mid-run: first an `executing` without prompt_id."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    cut,
    hold,
    slow,
    threads,
)


class ReconnectMidRunParameters(Parameters, frozen=True, kw_only=True):
    """How long the node still works after the reconnect."""

    gap_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 50


def direct(settings: ReconnectMidRunParameters) -> Directions:
    keep = hold("until it reacts", gap_ms=settings.gap_ms)
    return Directions(operators=(cut("in a node"), keep), plan=slow(0.05))


SCENARIO = Scenario(
    name="reconnect-mid-run",
    row="A33",
    category="reconnects",
    summary=__doc__,
    correct="goes on under the same id, or asks the history for what it missed",
    keeps=("K2", "K4", "K5"),
    evidence=threads("CU#7033", "measured"),
    settings=ReconnectMidRunParameters,
    direct=direct,
)
