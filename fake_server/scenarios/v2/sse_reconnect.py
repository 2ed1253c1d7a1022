"""The event stream is cut before the last event; there is nothing to resume from."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    EVENTS,
    SDK_STUBS,
    SPEC,
    Directions,
    Parameters,
    Scenario,
    cut_stream,
    slow,
)


class ReconnectParameters(Parameters, frozen=True, kw_only=True):
    """After how many events, and how often."""

    after: Annotated[int, msgspec.Meta(ge=1)] = 2
    times: Annotated[int, msgspec.Meta(ge=1)] = 1


def direct(settings: ReconnectParameters) -> Directions:
    cut = cut_stream(EVENTS, "the event stream", after=settings.after, times=settings.times)
    return Directions(operators=(cut,), plan=slow(0.5, steps=4))


SCENARIO = Scenario(
    name="v2-sse-reconnect",
    row="V09",
    category="v2",
    summary=__doc__,
    correct="asks for the job",
    keeps=("K1", "K3"),
    evidence=(*SDK_STUBS, SPEC),
    settings=ReconnectParameters,
    direct=direct,
    in_real_time=True,
    surface="v2",
)
