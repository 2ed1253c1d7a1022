"""The socket opens late: the first frames of the run have been missed."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Parameters,
    Scenario,
    delay_upgrade,
    drop,
    event,
    no_node,
    threads,
)


class LateConnectParameters(Parameters, frozen=True, kw_only=True):
    """How late the upgrade is answered."""

    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 100


def direct(settings: LateConnectParameters) -> Directions:
    missed = event("execution_start", "execution_cached", "executing", "executed", "progress_state")

    def gone_by(frame: FrameView) -> bool:
        return missed(frame) and not no_node(frame)

    return Directions(
        operators=(
            drop(gone_by, "what was over before"),
            delay_upgrade("the upgrade", ms=settings.delay_ms),
        )
    )


SCENARIO = Scenario(
    name="late-connect",
    row="A25",
    category="ordering",
    summary=__doc__,
    correct="opens the socket before it submits, and takes outputs from the history",
    keeps=("K5", "K7"),
    evidence=threads("measured", "comfyui-autoflow connects after the POST"),
    settings=LateConnectParameters,
    direct=direct,
)
