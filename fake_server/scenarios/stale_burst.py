"""Frames of prompts that are long over arrive while a new one runs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    OtherUser,
    Parameters,
    Scenario,
    event,
    foreign_frames,
    threads,
)


class StaleBurstParameters(Parameters, frozen=True, kw_only=True):
    """How old they are by their time stamps."""

    age_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 6.0


def direct(settings: StaleBurstParameters) -> Directions:
    def old(who: OtherUser) -> OtherUser:
        stamp = max(0, who.timestamp - round(settings.age_s * 1000))
        return msgspec.structs.replace(who, timestamp=stamp)

    start = event("execution_start")
    return Directions(
        operators=(
            foreign_frames("an old success", lambda who: old(who).whole(), at=start),
            foreign_frames("an old failure", lambda who: old(who).failure(), at=start),
        )
    )


SCENARIO = Scenario(
    name="stale-burst",
    row="A29",
    category="ordering",
    summary=__doc__,
    correct="goes by prompt_id only",
    keeps=("K4",),
    evidence=threads("measured: a stalled peer's burst"),
    settings=StaleBurstParameters,
    direct=direct,
    shows_on=("cloud",),
)
