"""The API is mounted under a path, and the links of a job hold it already."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    SPEC,
    Directions,
    Parameters,
    Scenario,
    Transport,
)


class LinksWithPrefixParameters(Parameters, frozen=True, kw_only=True):
    """The path."""

    prefix: Annotated[str, msgspec.Meta(pattern="^(/[^/]+)+$")] = "/deployment/dep-1"


def direct(settings: LinksWithPrefixParameters) -> Directions:
    return Directions(
        surface={"prefix": settings.prefix, "links": "relative"},
        transport=Transport(prefix=settings.prefix),
    )


SCENARIO = Scenario(
    name="v2-links-with-prefix",
    row="V19",
    category="v2",
    summary=__doc__,
    correct="joins links with the origin, not with its address",
    keeps=("K1", "K3"),
    evidence=(SPEC, "followUpLinks.test.ts of comfy-typescript-sdk"),
    settings=LinksWithPrefixParameters,
    direct=direct,
    surface="v2",
)
