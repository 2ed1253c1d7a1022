"""The socket is silent, and the first response of the history is empty; the next one is not."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    anything,
    delay_history,
    drop,
    event,
    threads,
)


def direct(settings: Parameters) -> Directions:
    silence = drop(anything, "everything", after=event("execution_start"))
    return Directions(operators=(silence, *delay_history("at first", reads=1)))


SCENARIO = Scenario(
    name="empty-then-cached-poll",
    row="A78",
    category="history",
    summary=__doc__,
    correct="asks again instead of keeping the empty answer",
    keeps=("K2",),
    evidence=threads("comfyui-autoflow up to 1.4.1 asked once"),
    direct=direct,
)
