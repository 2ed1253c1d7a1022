"""Every node is cached: no `executing` with a node, and everything is over within a millisecond."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, drop, event, prerun, threads


class AllCachedParameters(Parameters, frozen=True, kw_only=True):
    """What is still sent about the outputs; old servers sent nothing."""

    executed_for_outputs: bool = True
    progress_state: bool = True


def direct(settings: AllCachedParameters) -> Directions:
    quiet = []
    if not settings.executed_for_outputs:
        quiet.append(drop(event("executed"), "executed"))
    if not settings.progress_state:
        quiet.append(drop(event("progress_state"), "progress_state"))
    return Directions(operators=(*quiet, prerun()))


SCENARIO = Scenario(
    name="all-cached",
    row="A11",
    category="caching",
    summary=__doc__,
    correct="ends all the same, with the outputs of the history",
    keeps=("K1", "K5", "K7"),
    evidence=threads("FE#11798", "CU#6261", "CU#952", "comfyui-autoflow's documentation"),
    settings=AllCachedParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
