"""A text frame of several megabytes: beyond the default limit of most WebSocket libraries."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, event, mutate, threads


class BigFrameParameters(Parameters, frozen=True, kw_only=True):
    """websockets stops at 1 MiB, aiohttp at 4 MiB, each with close code 1009."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 5_000_000


def direct(settings: BigFrameParameters) -> Directions:
    def heavy(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "padding": "x" * settings.bytes}

    return Directions(operators=(mutate(event("executed"), "executed", heavy, times=1),))


SCENARIO = Scenario(
    name="big-frame",
    row="A50",
    category="binary",
    summary=__doc__,
    correct="raises the limit, or connects again and asks the history",
    keeps=("K2", "K5"),
    evidence=threads("Tavris1/ComfyUI-Easy-Install#300", "roadmaus/ComfyUI-Continuity#24"),
    settings=BigFrameParameters,
    direct=direct,
    shows_on=("cloud",),
)
