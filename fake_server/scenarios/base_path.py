"""The server lives under a path: `http://host/prefix/`, and nowhere else."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    Transport,
    threads,
    under_prefix,
)


class BasePathParameters(Parameters, frozen=True, kw_only=True):
    """The path, with a slash at both ends."""

    prefix: Annotated[str, msgspec.Meta(pattern="^/([^/]+/)+$")] = "/prefix/"


def direct(settings: BasePathParameters) -> Directions:
    return Directions(
        operators=(under_prefix(settings.prefix),), transport=Transport(prefix=settings.prefix)
    )


SCENARIO = Scenario(
    name="base-path",
    row="A91",
    category="proxies",
    summary=__doc__,
    correct="joins the address and its routes without losing the path",
    keeps=("K1",),
    evidence=threads("FE#2958", "FE#3049", "Rust's join drops a last segment without a slash"),
    settings=BasePathParameters,
    direct=direct,
)
