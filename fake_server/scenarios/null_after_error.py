"""A node fails: `execution_error`, and then the same null `executing` as after a success."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, planned, threads

MESSAGE = "the picture is upside down"


def direct(settings: Parameters) -> Directions:
    return Directions(plan=planned(raises={"type": "ValueError", "message": MESSAGE}))


SCENARIO = Scenario(
    name="null-after-error",
    row="A05",
    category="completion",
    summary=__doc__,
    correct="remembers the error, or reads it in the history",
    keeps=("K3", "K9"),
    evidence=threads("measured", "open-webui's code returns an empty success"),
    truth=("error",),
    reason=(MESSAGE,),
    direct=direct,
    shows_on=("cloud",),
)
