"""The first frame after connecting is an `executing` without prompt_id, from an older run."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    dump,
    event,
    inject,
    threads,
)


def direct(settings: Parameters) -> Directions:
    older = dump("executing", {"node": "4"})
    return Directions(operators=(inject([older], "executing of an older run", at=event("status")),))


SCENARIO = Scenario(
    name="foreign-first-executing",
    row="A30",
    category="ordering",
    summary=__doc__,
    correct="concludes nothing from a frame without prompt_id",
    keeps=("K4",),
    evidence=threads("CU#2435", "measured: what a reconnect is greeted with"),
    direct=direct,
)
