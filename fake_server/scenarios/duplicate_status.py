"""The same `status` comes several times."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, duplicate, event, threads


class DuplicateStatusParameters(Parameters, frozen=True, kw_only=True):
    """How many times."""

    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3


def direct(settings: DuplicateStatusParameters) -> Directions:
    return Directions(operators=(duplicate(event("status"), "status", n=settings.n),))


SCENARIO = Scenario(
    name="duplicate-status",
    row="A28",
    category="ordering",
    summary=__doc__,
    correct="takes a status as what it is: the state of the queue",
    keeps=("K4", "K5"),
    evidence=threads("measured: two on every submission"),
    settings=DuplicateStatusParameters,
    direct=direct,
    shows_on=("cloud",),
)
