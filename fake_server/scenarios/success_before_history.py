"""`execution_success` has been sent, but the history entry is not there yet."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    delay_history,
    event,
    is_poll_or_upgrade,
    no_node,
    stall,
    threads,
)


class SuccessBeforeHistoryParameters(Parameters, frozen=True, kw_only=True):
    """How far the history is behind, and what it shows meanwhile."""

    lag_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 300
    kind: Literal["empty", "no-outputs"] = "empty"


def direct(settings: SuccessBeforeHistoryParameters) -> Directions:
    ms, outputs_only = settings.lag_ms, settings.kind == "no-outputs"
    # The entry is there when the null has been sent; a client may well wait for that.
    lag = delay_history("behind the frames", lag_ms=ms, outputs_only=outputs_only, until=no_node)
    success = event("execution_success")
    late_end = stall("the end", at=success, for_ms=ms, until=is_poll_or_upgrade, patience_ms=ms)
    return Directions(operators=(*lag, late_end))


SCENARIO = Scenario(
    name="success-before-history",
    row="A01",
    category="completion",
    summary=__doc__,
    correct="asks again after a short pause, or waits for the null `executing`",
    keeps=("K5",),
    evidence=threads("CU#11540", "measured: 2 of 60 answers were empty"),
    settings=SuccessBeforeHistoryParameters,
    direct=direct,
)
