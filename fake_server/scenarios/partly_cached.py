"""Some nodes are cached, some run: progress has to count both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, chain, prerun, threads


class PartlyCachedParameters(Parameters, frozen=True, kw_only=True):
    """How many steps of the chain are cached, and how many run."""

    cached: Annotated[int, msgspec.Meta(ge=0, le=200)] = 3
    run: Annotated[int, msgspec.Meta(ge=1, le=200)] = 2


def direct(settings: PartlyCachedParameters) -> Directions:
    def earlier(graph: Mapping[str, Any]) -> Mapping[str, Any]:
        steps = [name for name in graph if graph[name].get("class_type") == "ImageScale"]
        ran_anew = steps[settings.cached :]
        return {name: _wider(node) if name in ran_anew else node for name, node in graph.items()}

    return Directions(operators=(prerun(change=earlier),))


def _wider(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**node, "inputs": {**node["inputs"], "height": node["inputs"]["height"] + 8}}


SCENARIO = Scenario(
    name="partly-cached",
    row="A14",
    category="caching",
    summary=__doc__,
    correct="counts both, and never shows more than 100 %",
    keeps=("K5", "K6"),
    evidence=threads("comfyui-autoflow's documentation"),
    settings=PartlyCachedParameters,
    direct=direct,
    workflow=chain(5),
    shows_on=("v2", "cloud"),
)
