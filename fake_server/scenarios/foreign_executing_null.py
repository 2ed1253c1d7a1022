"""A null `executing` arrives that belongs to another prompt."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    OtherUser,
    Parameters,
    Scenario,
    event,
    foreign_frames,
    hold,
    slow,
    threads,
)


def direct(settings: Parameters) -> Directions:
    start = event("execution_start")
    return Directions(
        operators=(
            foreign_frames("it leaves the executor", OtherUser.gone, at=start),
            hold("until then", patience_ms=400),
        ),
        plan=slow(0.05),
    )


SCENARIO = Scenario(
    name="foreign-executing-null",
    row="A42",
    category="cross-talk",
    summary=__doc__,
    correct="compares the prompt_id of every end signal",
    keeps=("K4",),
    evidence=threads("measured: comfyui-autoflow reports `completed` for it"),
    direct=direct,
    shows_on=("cloud",),
)
