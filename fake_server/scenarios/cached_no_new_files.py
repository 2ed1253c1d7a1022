"""Everything is cached, so no file is written: the outputs are those of an earlier run."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, prerun, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(prerun("the same prompt, its files stay"),))


SCENARIO = Scenario(
    name="cached-no-new-files",
    row="A15",
    category="caching",
    summary=__doc__,
    correct="takes the outputs from the history, no matter which run made the files",
    keeps=("K5",),
    evidence=threads("KR#1978"),
    direct=direct,
)
