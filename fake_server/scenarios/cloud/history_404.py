"""The socket is silent; there is no `/history/{id}`, and the record is 404 until the job ends."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, anything, drop, planned


def direct(settings: Parameters) -> Directions:
    return Directions(
        operators=(drop(anything, "all frames", needed=False),), plan=planned(seconds=0.3)
    )


SCENARIO = Scenario(
    name="cloud-history-404",
    row="C07",
    category="cloud",
    summary=__doc__,
    correct="asks again, and does not call it lost",
    keeps=("K2", "K3"),
    evidence=("openapi-cloud.yaml has history_v2 only", "comfy-cli 1.23 takes 404 as not yet"),
    direct=direct,
    surface="cloud",
    in_real_time=True,
)
