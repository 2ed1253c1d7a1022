"""Messages come in several WebSocket frames."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, anything, fragment, threads


class FragmentedParameters(Parameters, frozen=True, kw_only=True):
    """Into how many."""

    parts: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 3


def direct(settings: FragmentedParameters) -> Directions:
    return Directions(operators=(fragment(anything, "every message", parts=settings.parts),))


SCENARIO = Scenario(
    name="fragmented",
    row="A51",
    category="binary",
    summary=__doc__,
    correct="joins continuation frames, as a library does",
    keeps=("K6",),
    evidence=threads("measured: comfyui-autoflow loses them"),
    settings=FragmentedParameters,
    direct=direct,
)
