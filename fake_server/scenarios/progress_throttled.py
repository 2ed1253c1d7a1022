"""Most progress updates are left out: not every step sends a frame."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Parameters,
    Scenario,
    event,
    slow,
    threads,
    throttle,
)


class ProgressThrottledParameters(Parameters, frozen=True, kw_only=True):
    """The least time between two updates, in ms."""

    min_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 100


def direct(settings: ProgressThrottledParameters) -> Directions:
    def last(frame: FrameView) -> bool:
        return frame.data.get("value") == frame.data.get("max")

    fewer = throttle(event("progress"), "progress", least_ms=settings.min_ms, last=last)
    return Directions(operators=(fewer,), plan=slow(0.3, steps=10))


SCENARIO = Scenario(
    name="progress-throttled",
    row="A97",
    category="drift",
    summary=__doc__,
    correct="goes by value and max, never by counting frames",
    keeps=("K6",),
    evidence=threads("CU#11504", "krita-ai-diffusion counts frames"),
    settings=ProgressThrottledParameters,
    direct=direct,
)
