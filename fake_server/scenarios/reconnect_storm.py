"""The connection breaks, and the next attempts to connect are turned away."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    cut,
    event,
    is_upgrade,
    refuse,
    threads,
)


class ReconnectStormParameters(Parameters, frozen=True, kw_only=True):
    """How the attempts fail, and how many of them."""

    refuse: Literal["403", "close"] = "403"
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 20


def direct(settings: ReconnectStormParameters) -> Directions:
    how = 403 if settings.refuse == "403" else "close"
    turned_away = refuse(
        "new sockets", n=settings.count, how=how, skip=1, fits=is_upgrade, needed=False
    )
    broken = cut("at the start", at=event("execution_start"))
    return Directions(operators=(turned_away, broken))


SCENARIO = Scenario(
    name="reconnect-storm",
    row="A36",
    category="reconnects",
    summary=__doc__,
    correct="waits before each attempt, and asks the history meanwhile",
    keeps=("K2", "K8"),
    evidence=threads("comfy-addons/comfyui-sdk#21", "PNL#28"),
    settings=ReconnectStormParameters,
    direct=direct,
    shows_on=("cloud",),
)
