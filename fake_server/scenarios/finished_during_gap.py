"""The connection breaks, and the prompt ends before the client is back."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, cut, event, threads


def direct(settings: Parameters) -> Directions:
    return Directions(operators=(cut("at the start", at=event("execution_start")),))


SCENARIO = Scenario(
    name="finished-during-gap",
    row="A35",
    category="reconnects",
    summary=__doc__,
    correct="asks the history at once after a reconnect",
    keeps=("K2",),
    evidence=threads(
        "worker-comfyui's loop waits for ever", "KR#2109", "roadmaus/ComfyUI-Continuity#24"
    ),
    direct=direct,
    shows_on=("cloud",),
)
