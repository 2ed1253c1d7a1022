"""A proxy drops the connection because a node has been quiet for too long."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    cut,
    hold,
    slow,
    some_node,
    threads,
)


class ProxyIdleCutParameters(Parameters, frozen=True, kw_only=True):
    """Proxies are set to 60 or 100 s; ``code`` 1006 means no close frame at all."""

    idle_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.2
    code: Literal[1000, 1001, 1006, 1011, 1012] = 1006


def direct(settings: ProxyIdleCutParameters) -> Directions:
    code = None if settings.code == 1006 else settings.code
    idle_ms = round(settings.idle_s * 1000)
    keep = hold("until it reacts", at=some_node, after_ms=idle_ms)
    return Directions(
        operators=(cut("in a quiet node", at=some_node, code=code, after_ms=idle_ms), keep),
        plan=slow(settings.idle_s + 0.1),
    )


SCENARIO = Scenario(
    name="proxy-idle-cut",
    row="A19",
    category="silence",
    summary=__doc__,
    correct="connects again, or asks the history",
    keeps=("K2",),
    evidence=threads("KR#1993", "vladmandic/sdnext#3950"),
    settings=ProxyIdleCutParameters,
    direct=direct,
)
