"""The deployment still starts: 429 `deployment_not_ready`, and when to come again."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    SPEC,
    SUBMIT,
    Directions,
    Parameters,
    Scenario,
    respond,
    v2_error,
)


class NotReadyParameters(Parameters, frozen=True, kw_only=True):
    """How often, and how ``Retry-After`` is written."""

    times: Annotated[int, msgspec.Meta(ge=1)] = 2
    retry_after: Literal["seconds", "date", "none"] = "seconds"


def direct(settings: NotReadyParameters) -> Directions:
    after = {"seconds": "1", "date": "Thu, 01 Jan 2026 00:00:01 GMT", "none": ""}
    busy = v2_error(
        429,
        "deployment_not_ready",
        "the deployment is starting",
        retry_after=after[settings.retry_after],
    )
    return Directions(
        operators=(respond(SUBMIT, "POST /jobs", busy, times=settings.times, needed=True),)
    )


SCENARIO = Scenario(
    name="v2-deployment-not-ready",
    row="V02",
    category="v2",
    summary=__doc__,
    correct="waits, and submits again",
    keeps=("K1", "K3", "K8"),
    evidence=(SPEC,),
    settings=NotReadyParameters,
    direct=direct,
    surface="v2",
)
