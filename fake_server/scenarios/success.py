"""Nothing goes wrong: the submitted graph is walked as the real server would."""

from __future__ import annotations

from typing import Any

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, threads
from fake_server.simulator.node_plan import NodePlans


def direct(settings: SuccessParameters) -> Directions:
    NodePlans(settings.nodes)  # read now, so that a wrong entry is known before a prompt comes
    plan = (lambda graph: settings.nodes) if settings.nodes else None
    return Directions(plan=plan, engine={"classes": settings.classes, "strict": settings.strict})


class SuccessParameters(Parameters, frozen=True, kw_only=True):
    """What nodes do other than finish at once; the keys are those of a plan."""

    nodes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """By node id."""
    classes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """By class; what stands under the id wins."""
    strict: bool = False
    """Every planned node has to be in every prompt."""


SCENARIO = Scenario(
    name="success",
    category="normal",
    summary=__doc__,
    correct="reports success, with the outputs of the history entry",
    keeps=("K5", "K7"),
    evidence=threads("measured: the order of frames of a normal run"),
    settings=SuccessParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
