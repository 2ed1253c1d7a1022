"""A node's output cannot be written as JSON: no `executed`, and the process dies."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    crash,
    event,
    threads,
)


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(crash("at the output", at=event("executed"), instead=True),))


SCENARIO = Scenario(
    name="unserializable-kills-server",
    row="A59",
    category="errors",
    summary=__doc__,
    correct="gives up after some attempts, and reports the prompt as lost",
    keeps=("K1", "K8"),
    evidence=threads("CU#2433", "visualbruno/ComfyUI-Trellis2#83", "measured"),
    truth=("lost",),
    direct=direct,
    shows_on=("cloud",),
)
