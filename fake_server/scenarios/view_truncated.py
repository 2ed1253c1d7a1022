"""`/view` breaks off in the middle of a file."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import VIEW, Directions, Parameters, Scenario, threads, truncate


class ViewTruncatedParameters(Parameters, frozen=True, kw_only=True):
    """After how many bytes."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 40


def direct(settings: ViewTruncatedParameters) -> Directions:
    return Directions(operators=(truncate(VIEW, "GET /view", first=settings.bytes),))


SCENARIO = Scenario(
    name="view-truncated",
    row="A82",
    category="outputs",
    summary=__doc__,
    correct="compares the length, and does not keep half a file",
    keeps=("K5", "K9"),
    evidence=threads("measured"),
    truth=("success", "error"),
    settings=ViewTruncatedParameters,
    direct=direct,
    shows_on=("v2",),
)
