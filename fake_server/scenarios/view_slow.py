"""`/view` takes its time."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    VIEW,
    Directions,
    Parameters,
    Scenario,
    delay_response,
    threads,
)


class ViewSlowParameters(Parameters, frozen=True, kw_only=True):
    """How long."""

    delay_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.5


def direct(settings: ViewSlowParameters) -> Directions:
    return Directions(
        operators=(delay_response(VIEW, "GET /view", ms=round(settings.delay_s * 1000)),)
    )


SCENARIO = Scenario(
    name="view-slow",
    row="A82",
    category="outputs",
    summary=__doc__,
    correct="waits for the file",
    keeps=("K5", "K8"),
    evidence=threads("measured"),
    settings=ViewSlowParameters,
    direct=direct,
    in_real_time=True,
)
