"""Somebody else stops reading: nobody gets anything for a while, then all of it in one burst."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, anything, stall, threads


class StalledPeerParameters(Parameters, frozen=True, kw_only=True):
    """How long, and (``buffer``) how many frames still come before."""

    buffer: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    release_after_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.6


def direct(settings: StalledPeerParameters) -> Directions:
    ms = round(settings.release_after_s * 1000)
    return Directions(operators=(stall("all", at=anything, nth=settings.buffer, for_ms=ms),))


SCENARIO = Scenario(
    name="stalled-peer",
    row="A17",
    category="silence",
    summary=__doc__,
    correct="asks the history, and copes with the burst",
    keeps=("K2", "K4"),
    evidence=threads("CU#15240", "measured: 48 frames, 6 s late"),
    settings=StalledPeerParameters,
    direct=direct,
    in_real_time=True,
)
