"""`execution_success` is on the wire, and the history entry is not there yet."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Scenario,
    Settings,
    any_of,
    delay,
    event,
    hide,
    no_node,
    threads,
)


class Lag(Settings, frozen=True, kw_only=True):
    """How far the history is behind, and what it shows meanwhile."""

    lag_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 300
    kind: Literal["empty", "no-outputs"] = "empty"


def direct(settings: Lag) -> Directions:
    rest = any_of(event("status"), no_node)
    late_end = delay(rest, "the end", ms=settings.lag_ms, after=event("execution_success"))
    outputs_only = settings.kind == "no-outputs"
    lag = hide("behind the frames", lag_ms=settings.lag_ms, outputs_only=outputs_only)
    return Directions(operators=(late_end, *lag))


SCENARIO = Scenario(
    name="success-before-history",
    row="A01",
    category="completion",
    summary=__doc__,
    correct="asks again after a short pause, or waits for the null `executing`",
    keeps=("K5",),
    evidence=threads("CU#11540", "measured: 2 of 60 answers were empty"),
    settings=Lag,
    direct=direct,
)
