"""A server on Windows: subfolders with backslashes."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import Directions, Parameters, Scenario, rename_files, threads


def direct(settings: Parameters) -> Directions:
    def windows(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "subfolder": "day\\night"}

    return Directions(operators=tuple(rename_files("backslashes", windows)))


SCENARIO = Scenario(
    name="windows-paths",
    row="A104",
    category="drift",
    summary=__doc__,
    correct="passes names back unchanged, percent-encoded in the address",
    keeps=("K5",),
    evidence=threads(
        "perfectgf/lora-dataset-studio#21", "Stability-AI/StableSwarmUI#112", "CU#13948"
    ),
    direct=direct,
)
