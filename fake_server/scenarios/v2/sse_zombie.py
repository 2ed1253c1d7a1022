"""The event stream stays open and says nothing any more."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    EVENTS,
    SPEC,
    Directions,
    Parameters,
    Scenario,
    mute_stream,
    slow,
)


class ZombieParameters(Parameters, frozen=True, kw_only=True):
    """After how many events."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 1


def direct(settings: ZombieParameters) -> Directions:
    mute = mute_stream(EVENTS, "the event stream", after=settings.after)
    return Directions(operators=(mute,), plan=slow(0.3))


SCENARIO = Scenario(
    name="v2-sse-zombie",
    row="V10",
    category="v2",
    summary=__doc__,
    correct="asks for the job when nothing comes",
    keeps=("K1", "K2"),
    evidence=("comfy-sdk's read-idle timeout of 45 s, and why it is there", SPEC),
    settings=ZombieParameters,
    direct=direct,
    in_real_time=True,
    surface="v2",
)
