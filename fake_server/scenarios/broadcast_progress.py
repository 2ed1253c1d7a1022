"""Another user submits without a client id: everyone sees its progress and its end."""

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
    def everything(who: OtherUser) -> list[str]:
        return [*who.work(), *who.interrupted()[:1]]

    return Directions(operators=(foreign_frames("without a client id", everything, at=some_node),))


SCENARIO = Scenario(
    name="broadcast-progress",
    row="A41",
    category="cross-talk",
    summary=__doc__,
    correct="goes by prompt_id only",
    keeps=("K4",),
    evidence=threads("CU#9706", "measured"),
    direct=direct,
)
