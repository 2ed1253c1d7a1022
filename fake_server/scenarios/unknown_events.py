"""An extension's events keep coming, while those of the run do not."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Parameters,
    Scenario,
    drop,
    dump,
    event,
    flood,
    threads,
)


class UnknownEventsParameters(Parameters, frozen=True, kw_only=True):
    """How many a second, and for how long."""

    type: str = "crystools.monitor"
    rate_hz: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 50.0
    for_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 20.0


def direct(settings: UnknownEventsParameters) -> Directions:
    start = event("execution_start")
    message = dump(settings.type, {"cpu_utilization": 12.5, "gpus": [{"vram_used": 1}]})
    count = max(1, round(settings.rate_hz * settings.for_s))
    more = flood("an extension's events", message, at=start, rate_hz=settings.rate_hz, n=count)
    return Directions(operators=(drop(_of_a_run, "everything of the run", after=start), more))


def _of_a_run(frame: FrameView) -> bool:
    return frame.prompt_id is not None or frame.type == "status"


SCENARIO = Scenario(
    name="unknown-events",
    row="A96",
    category="drift",
    summary=__doc__,
    correct="skips them, and does not take them as a sign that its prompt is alive",
    keeps=("K2", "K6", "K8"),
    evidence=threads(
        "CU#5674", "StableCanvas/comfyui-client#4", "11cafe/comfyui-workspace-manager#452"
    ),
    settings=UnknownEventsParameters,
    direct=direct,
    in_real_time=True,
    shows_on=("cloud",),
)
