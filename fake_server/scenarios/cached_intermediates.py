"""Nodes in the middle are cached and send no `executed`; only the outputs run."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    other_outputs,
    prerun,
    threads,
)


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(prerun(change=other_outputs),))


SCENARIO = Scenario(
    name="cached-intermediates",
    row="A13",
    category="caching",
    summary=__doc__,
    correct="waits for the end of the prompt, not for each of its nodes",
    keeps=("K5",),
    evidence=threads("CU#12633", "CU#13048"),
    direct=direct,
    shows_on=("cloud",),
)
