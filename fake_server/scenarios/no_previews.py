"""No preview ever comes, though the node reports its steps."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, binary, drop, slow, threads


def direct(settings: Parameters) -> Directions:
    none = drop(binary(), "previews", needed=None)
    return Directions(operators=(none,), plan=slow(0.3, steps=3))


SCENARIO = Scenario(
    name="no-previews",
    row="A49",
    category="binary",
    summary=__doc__,
    correct="does not wait for previews",
    keeps=("K1",),
    evidence=threads("CU#2981"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
