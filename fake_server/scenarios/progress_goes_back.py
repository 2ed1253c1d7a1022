"""`progress` with a changing maximum, values beyond it, and a maximum of zero."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Observer,
    Parameters,
    Scenario,
    dump,
    inject,
    some_node,
    threads,
)

PAIRS = ((5, 10), (3, 10), (12, 10), (0, 0), (7, 5), (1, 4), (-1, 4))


def direct(settings: Parameters) -> Directions:
    def odd(frame: FrameView, observer: Observer) -> list[str]:
        named = {"prompt_id": frame.prompt_id, "node": frame.data["node"]}
        return [dump("progress", {"value": value, "max": top, **named}) for value, top in PAIRS]

    return Directions(operators=(inject(odd, "odd progress", at=some_node),))


SCENARIO = Scenario(
    name="progress-goes-back",
    row="A32",
    category="ordering",
    summary=__doc__,
    correct="guards every division, and shows no share beyond 0 to 100 %",
    keeps=("K6",),
    evidence=threads("SwarmUI's code divides by max"),
    direct=direct,
    shows_on=("cloud",),
)
