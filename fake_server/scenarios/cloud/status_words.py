"""The status of a job in flight has words that no page lists, and ends with `success`."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import Directions, Parameters, Scenario, planned, threads


class StatusWordsParameters(Parameters, frozen=True, kw_only=True):
    """Which words: others than all lists have, those of the pages, those of the specification."""

    words: Literal["others", "pages", "specification"] = "others"


def direct(settings: StatusWordsParameters) -> Directions:
    return Directions(surface={"words": settings.words}, plan=planned(seconds=0.4))


SCENARIO = Scenario(
    name="cloud-status-words",
    row="C01",
    category="cloud",
    summary=__doc__,
    correct="asks again until a word ends the job",
    keeps=("K1", "K2"),
    evidence=threads("Comfy-Org/docs#1406"),
    settings=StatusWordsParameters,
    direct=direct,
    surface="cloud",
    in_real_time=True,
)
