"""File names with `#`, `+`, `%`, `&`, spaces and non-ASCII letters."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import Directions, Parameters, Scenario, rename_files, threads


class PathCharsParameters(Parameters, frozen=True, kw_only=True):
    """What stands in front of each name."""

    prefix: str = "a#b+c%20&d é 日本 "


def direct(settings: PathCharsParameters) -> Directions:
    def odd(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "filename": f"{settings.prefix}{item['filename']}"}

    return Directions(operators=tuple(rename_files("odd names", odd)))


SCENARIO = Scenario(
    name="path-chars",
    row="A105",
    category="drift",
    summary=__doc__,
    correct="percent-encodes every value of an address",
    keeps=("K5",),
    evidence=threads("CU#60"),
    settings=PathCharsParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
