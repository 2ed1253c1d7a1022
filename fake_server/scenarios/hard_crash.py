"""The server process dies in the middle of the run, and does not come back."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    crash,
    event,
    slow,
    threads,
)


class HardCrashParameters(Parameters, frozen=True, kw_only=True):
    """After which event."""

    after_event: str = "executing"


def direct(settings: HardCrashParameters) -> Directions:
    return Directions(operators=(crash("for good", at=event(settings.after_event)),), plan=slow(1))


SCENARIO = Scenario(
    name="hard-crash",
    row="A58",
    category="errors",
    summary=__doc__,
    correct="gives up after some attempts, and reports the prompt as lost",
    keeps=("K1", "K8"),
    evidence=threads("Comfy-Org/comfy-mcp#95", "CU#7558", "ai-dock/comfyui#58"),
    truth=("lost",),
    settings=HardCrashParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
