"""The server accepts connections but answers no request."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, hang, route, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(hang(route("* *"), "every request", sockets=True, needed=True),))


SCENARIO = Scenario(
    name="http-hang",
    row="A64",
    category="errors",
    summary=__doc__,
    correct="has a limit for each request, and gives up",
    keeps=("K1", "K8"),
    evidence=threads("CU#14706"),
    truth=("timed-out", "rejected", "lost"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
