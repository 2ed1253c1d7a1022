"""The job is asked for, and no answer comes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    EVENTS,
    JOB,
    SDK_STUBS,
    Directions,
    Parameters,
    Scenario,
    hang,
    mute_stream,
    slow,
)


class PollHangsParameters(Parameters, frozen=True, kw_only=True):
    """How often."""

    times: Annotated[int, msgspec.Meta(ge=1)] = 2


def direct(settings: PollHangsParameters) -> Directions:
    return Directions(
        operators=(
            hang(JOB, "GET /jobs/{}", times=settings.times),
            mute_stream(EVENTS, "the event stream"),
        ),
        plan=slow(0.2),
    )


SCENARIO = Scenario(
    name="v2-poll-hangs",
    row="V22",
    category="v2",
    summary=__doc__,
    correct="has a limit for each request, and asks again",
    keeps=("K1", "K2", "K3", "K8"),
    evidence=(*SDK_STUBS,),
    settings=PollHangsParameters,
    direct=direct,
    in_real_time=True,
    surface="v2",
)
