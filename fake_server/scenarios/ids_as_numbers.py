"""Node ids come as numbers."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import Directions, Parameters, Scenario, event, mutate, threads


def direct(settings: Parameters) -> Directions:
    def number(value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    def change(data: dict[str, Any]) -> dict[str, Any]:
        single = ("node", "display_node")
        ids: dict[str, Any] = {key: number(data[key]) for key in single if key in data}
        if "nodes" in data:
            ids["nodes"] = [number(one) for one in data["nodes"]]
        return {**data, **ids}

    own = event("executing", "executed", "progress", "execution_cached")
    return Directions(operators=(mutate(own, "node ids", change),))


SCENARIO = Scenario(
    name="ids-as-numbers",
    row="A103",
    category="drift",
    summary=__doc__,
    correct="converts them to text",
    keeps=("K5", "K6"),
    evidence=threads("comfy-cli's and comfyui-autoflow's code coerces them"),
    direct=direct,
)
