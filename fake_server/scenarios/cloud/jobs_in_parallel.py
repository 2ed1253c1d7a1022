"""Several jobs of one user have started at once, and the other one ends first."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, planned, same_key_job


def direct(settings: Parameters) -> Directions:
    return Directions(
        operators=(same_key_job("a job that runs beside"),),
        surface={"parallel": 3},
        plan=planned(seconds=0.2),
    )


SCENARIO = Scenario(
    name="cloud-jobs-in-parallel",
    row="C06",
    category="cloud",
    summary=__doc__,
    correct="keeps a record for each prompt_id",
    keeps=("K3", "K4", "K5"),
    evidence=("Comfy Cloud's documentation: parallel execution, 1 to 5 jobs",),
    direct=direct,
    surface="cloud",
)
