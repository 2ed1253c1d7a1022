"""The history responds late, and its response is large."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from fake_server.scenarios.kit import (
    HISTORY,
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    delay_response,
    patch_history,
    threads,
)


class HistorySlowParameters(Parameters, frozen=True, kw_only=True):
    """How late, and how large the response is."""

    delay_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.3
    mb: Annotated[float, msgspec.Meta(ge=0, le=200)] = 1.0


def direct(settings: HistorySlowParameters) -> Directions:
    def heavy(entry: dict[str, Any], prompt: ObservedPrompt) -> dict[str, Any]:
        return {**entry, "padding": "x" * round(settings.mb * 1_000_000)}

    return Directions(
        operators=(
            delay_response(HISTORY, "history", ms=round(settings.delay_s * 1000)),
            patch_history("it is long", heavy),
        )
    )


SCENARIO = Scenario(
    name="history-slow",
    row="A24",
    category="silence",
    summary=__doc__,
    correct="waits for the response, and does not pile up requests",
    keeps=("K5", "K8"),
    evidence=threads("CU#1971", "KR#1796"),
    settings=HistorySlowParameters,
    direct=direct,
    in_real_time=True,
)
