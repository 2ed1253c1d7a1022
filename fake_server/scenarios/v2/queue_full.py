"""The queue is full for a while: 429 `queue_full`, and when to come again."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    SDK_STUBS,
    SPEC,
    SUBMIT,
    Directions,
    Parameters,
    Scenario,
    respond,
    v2_error,
)


class QueueFullParameters(Parameters, frozen=True, kw_only=True):
    """How often, and how ``Retry-After`` is written."""

    times: Annotated[int, msgspec.Meta(ge=1)] = 2
    retry_after: Literal["seconds", "date", "none"] = "seconds"


def direct(settings: QueueFullParameters) -> Directions:
    after = {"seconds": "1", "date": "Thu, 01 Jan 2026 00:00:01 GMT", "none": ""}
    busy = v2_error(429, "queue_full", "the queue is full", retry_after=after[settings.retry_after])
    return Directions(
        operators=(respond(SUBMIT, "POST /jobs", busy, times=settings.times, needed=True),)
    )


SCENARIO = Scenario(
    name="v2-queue-full",
    row="V01",
    category="v2",
    summary=__doc__,
    correct="waits, and submits again",
    keeps=("K1", "K3", "K8"),
    evidence=(*SDK_STUBS, SPEC),
    settings=QueueFullParameters,
    direct=direct,
    surface="v2",
)
