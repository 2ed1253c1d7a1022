"""A node that needs an account raises an exception."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, planned, threads

MESSAGE = "Unauthorized: Please login first to use this node."


def direct(settings: Parameters) -> Directions:
    return Directions(plan=planned(raises={"type": "Exception", "message": MESSAGE}))


SCENARIO = Scenario(
    name="partner-unauthorized",
    row="A93",
    category="proxies",
    summary=__doc__,
    correct="shows the server's message, and not the key",
    keeps=("K3", "K9"),
    evidence=threads("CU#8344", "CU#9508", "n8n-nodes-comfyui#13"),
    truth=("error",),
    reason=("Unauthorized", "login"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
