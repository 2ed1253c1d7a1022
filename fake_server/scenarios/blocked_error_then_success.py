"""An output is blocked with a message: an `execution_error` that is not the end."""

from __future__ import annotations

from fake_server.scenarios.kit import TWO_OUTPUTS, Directions, Parameters, Scenario, middle, threads


class BlockedErrorThenSuccessParameters(Parameters, frozen=True, kw_only=True):
    """``node``: which node blocks what follows it; empty: one in the middle."""

    node: str = ""
    message: str = "nothing to save here"


def direct(settings: BlockedErrorThenSuccessParameters) -> Directions:
    does = {"block": settings.message}
    return Directions(plan=lambda graph: {settings.node or middle(graph): does} if graph else {})


SCENARIO = Scenario(
    name="blocked-error-then-success",
    row="A06",
    category="completion",
    summary=__doc__,
    correct="confirms with the history before it fails on `ExecutionBlocked`",
    keeps=("K3", "K5"),
    evidence=threads("measured", "comfy-cli's on_error exits 1 on it"),
    settings=BlockedErrorThenSuccessParameters,
    direct=direct,
    workflow=TWO_OUTPUTS,
    shows_on=("cloud",),
)
