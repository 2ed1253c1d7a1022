"""The first frames come in the same TCP segment as the response to the upgrade."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, send_with_handshake, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(send_with_handshake(),))


SCENARIO = Scenario(
    name="frame-with-101",
    row="A27",
    category="ordering",
    summary=__doc__,
    correct="reads what came after the handshake",
    keeps=("K6",),
    evidence=threads("measured: comfyui-autoflow loses them"),
    direct=direct,
)
