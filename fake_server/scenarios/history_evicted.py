"""The socket is silent, and the entry was pushed out of the history before it was read."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    anything,
    drop,
    event,
    evict_history,
    threads,
)


class HistoryEvictedParameters(Parameters, frozen=True, kw_only=True):
    """How often the entry could still have been read."""

    cap: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


def direct(settings: HistoryEvictedParameters) -> Directions:
    silence = drop(anything, "everything", after=event("execution_start"))
    return Directions(operators=(silence, *evict_history("pushed out", reads=settings.cap)))


SCENARIO = Scenario(
    name="history-evicted",
    row="A76",
    category="history",
    summary=__doc__,
    correct="finds it neither in the history nor in the queue, and reports it as lost",
    keeps=("K1", "K2"),
    evidence=threads("the server's code: 10000 entries are kept"),
    truth=("lost",),
    settings=HistoryEvictedParameters,
    direct=direct,
)
