"""Another program has the same key: all of its jobs' frames come to the client's socket, too."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, same_key_job


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(same_key_job("a job of the same user"),))


SCENARIO = Scenario(
    name="cloud-all-sockets-hear-all",
    row="C05",
    category="cloud",
    summary=__doc__,
    correct="goes by prompt_id only",
    keeps=("K4", "K5"),
    evidence=("Comfy Cloud's documentation: clientId is ignored",),
    direct=direct,
    surface="cloud",
)
