"""Bare `NaN` and `Infinity` in frames and responses, which strict JSON does not allow."""

from __future__ import annotations

from typing import Any, Literal

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    patch_json,
    patch_outputs,
    route,
    threads,
)
from fake_server.source import Request

ODD = [float("nan"), float("inf"), float("-inf"), 1.5]


class NanInJsonParameters(Parameters, frozen=True, kw_only=True):
    """Where they are; ``outputs`` is both of the first two."""

    where: Literal["executed", "history", "outputs", "object_info"] = "outputs"


def direct(settings: NanInJsonParameters) -> Directions:
    def odd(node: str, output: dict[str, Any]) -> dict[str, Any]:
        return {**output, "values": ODD}

    def catalogue(value: Any, request: Request, observer: Observer) -> Any:
        for node in value.values():
            node["input"].setdefault("optional", {})["odd"] = ["FLOAT", {"min": float("-inf")}]
        return value

    frames, history = patch_outputs("NaN", odd)
    match settings.where:
        case "executed":
            return Directions(operators=(frames,))
        case "history":
            return Directions(operators=(history,))
        case "outputs":
            return Directions(operators=(frames, history))
    wild = route("GET /object_info", "GET /object_info/{}")
    return Directions(operators=(patch_json(wild, "the catalogue", catalogue),))


SCENARIO = Scenario(
    name="nan-in-json",
    row="A98",
    category="drift",
    summary=__doc__,
    correct="reads what strict JSON refuses with a second, lenient parser",
    keeps=("K5", "K6"),
    evidence=threads("CU#8548", "CU#6915", "CU#3042", "measured"),
    settings=NanInJsonParameters,
    direct=direct,
    shows_on=("cloud",),
)
