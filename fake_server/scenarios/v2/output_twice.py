"""Each event that tells of an output comes twice."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    EVENTS,
    Directions,
    Parameters,
    Scenario,
    change_events,
    slow,
)


def direct(settings: Parameters) -> Directions:
    twice = change_events(EVENTS, "output", "output", lambda block: block * 2)
    return Directions(operators=(twice,), plan=slow(0.3))


SCENARIO = Scenario(
    name="v2-output-twice",
    row="V14",
    category="v2",
    summary=__doc__,
    correct="saves each output once",
    keeps=("K1", "K5"),
    evidence=("comfy-api-proxy, realtime.py: reconciling may tell of an output again",),
    direct=direct,
    in_real_time=True,
    surface="v2",
)
