"""The connection ends without a close frame, or with an unusual one."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    cut,
    event,
    hold,
    slow,
    threads,
)


class AbruptCloseParameters(Parameters, frozen=True, kw_only=True):
    """With which code, and after which event; 0 and 1006: without a close frame."""

    code: Literal[0, 1000, 1001, 1006, 1011] = 0
    after: str = "executing"


def direct(settings: AbruptCloseParameters) -> Directions:
    code = settings.code if settings.code not in (0, 1006) else None
    at = event(settings.after)
    keep = hold("until it reacts", at=at)
    return Directions(operators=(cut("suddenly", at=at, code=code), keep), plan=slow(0.05))


SCENARIO = Scenario(
    name="abrupt-close",
    row="A39",
    category="reconnects",
    summary=__doc__,
    correct="connects again, or asks the history",
    keeps=("K2",),
    evidence=threads("mcmonkeyprojects/SwarmUI#1232", "Stability-AI/StableSwarmUI#208", "CU#13034"),
    settings=AbruptCloseParameters,
    direct=direct,
    shows_on=("cloud",),
)
