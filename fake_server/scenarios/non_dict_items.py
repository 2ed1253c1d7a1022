"""Lists of outputs hold null, flags, text and lists beside the files."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import Directions, Parameters, Scenario, patch_outputs, threads

ODD: list[Any] = [None, True, "text", 7, ["nested"], {}]


def direct(settings: Parameters) -> Directions:
    def odd(node: str, output: dict[str, Any]) -> dict[str, Any]:
        return {**output, "odd": ODD, "images": [*output.get("images", ()), None]}

    return Directions(operators=tuple(patch_outputs("odd items", odd)))


SCENARIO = Scenario(
    name="non-dict-items",
    row="A80",
    category="outputs",
    summary=__doc__,
    correct="skips what is not a file",
    keeps=("K5", "K6"),
    evidence=threads("SaladTechnologies/comfyui-api comments on `animated`", "measured"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
