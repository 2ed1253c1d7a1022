"""Other users' prompts come first: for minutes nothing but `status`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, queued_before, threads


class QueuedBehindParameters(Parameters, frozen=True, kw_only=True):
    """How many, and how long each of them takes."""

    ahead: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    each_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.25


def direct(settings: QueuedBehindParameters) -> Directions:
    others = queued_before("other people", n=settings.ahead)
    return Directions(operators=(others,), other_users_s=settings.each_s)


SCENARIO = Scenario(
    name="queued-behind",
    row="A21",
    category="silence",
    summary=__doc__,
    correct="waits, however long the queue is",
    keeps=("K2", "K8"),
    evidence=threads("comfyui-autoflow's documentation", "CU#2258"),
    settings=QueuedBehindParameters,
    direct=direct,
    in_real_time=True,
    shows_on=("v2", "cloud"),
)
