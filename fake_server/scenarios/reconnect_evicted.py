"""The new socket opened before the old one closed: the server forgets it, and it stays silent."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    cut,
    hold,
    mute_socket,
    slow,
    threads,
)


class ReconnectEvictedParameters(Parameters, frozen=True, kw_only=True):
    """How long the node still works after the reconnect."""

    old_close_delay_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 50


def direct(settings: ReconnectEvictedParameters) -> Directions:
    return Directions(
        operators=(
            cut("in a node"),
            mute_socket("the second socket", connection=2),
            hold("until it reacts", gap_ms=settings.old_close_delay_ms),
        ),
        plan=slow(0.05),
    )


SCENARIO = Scenario(
    name="reconnect-evicted",
    row="A34",
    category="reconnects",
    summary=__doc__,
    correct="asks the history when no frames come after a reconnect",
    keeps=("K2",),
    evidence=threads("CU#16243", "measured"),
    settings=ReconnectEvictedParameters,
    direct=direct,
)
