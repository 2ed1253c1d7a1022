"""Another prompt has a node with the same id as one of the client's, with other outputs."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    OtherUser,
    Parameters,
    Scenario,
    foreign_frames,
    some_node,
    threads,
)


def direct(settings: Parameters) -> Directions:
    def work(who: OtherUser) -> list[str]:
        return [*who.work(), *who.output()]

    return Directions(operators=(foreign_frames("the same node", work, at=some_node),))


SCENARIO = Scenario(
    name="same-node-ids",
    row="A44",
    category="cross-talk",
    summary=__doc__,
    correct="stores outputs by prompt and node",
    keeps=("K4", "K5"),
    evidence=threads("FE#2660"),
    direct=direct,
    shows_on=("cloud",),
)
