"""Megabytes of events or previews that nobody asked for arrive while the prompt runs."""

from __future__ import annotations

import struct
from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    dump,
    event,
    flood,
    slow,
    threads,
)

RATE_HZ = 1_000.0


class EventFloodParameters(Parameters, frozen=True, kw_only=True):
    """How much in total, in messages of what size, and of what kind."""

    mb: Annotated[float, msgspec.Meta(gt=0, le=16_384)] = 128.0
    message_kb: Annotated[int, msgspec.Meta(ge=1, le=16_384)] = 128
    kind: Literal["events", "previews"] = "events"


def direct(settings: EventFloodParameters) -> Directions:
    count = max(1, round(settings.mb * 1024 / settings.message_kb))
    start = event("execution_start")
    more = flood(settings.kind, _message(settings), at=start, rate_hz=RATE_HZ, n=count)
    # The prompt ends behind the flood, so that whoever waits for it has met all of it.
    return Directions(operators=(more,), plan=slow((count + 1) / RATE_HZ))


def _message(settings: EventFloodParameters) -> str | bytes:
    filling = "x" * (settings.message_kb * 1024)
    if settings.kind == "events":
        return dump("myextension.log", {"text": filling})
    return struct.pack(">II", 1, 2) + filling.encode()


SCENARIO = Scenario(
    name="event-flood",
    row="A96",
    category="drift",
    summary=__doc__,
    correct="discards what it does not need: its memory does not grow with what it receives",
    keeps=("K6", "K8"),
    evidence=threads("CU#5674", "comfy-addons/comfyui-sdk#21"),
    settings=EventFloodParameters,
    direct=direct,
    shows_on=("cloud",),
)
