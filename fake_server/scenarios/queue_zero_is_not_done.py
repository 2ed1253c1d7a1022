"""`queue_remaining` says nothing about one prompt: it counts other prompts, and may be late."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    dump,
    event,
    inject,
    mutate,
    threads,
)


class QueueZeroIsNotDoneParameters(Parameters, frozen=True, kw_only=True):
    """``others``: prompts of other users that wait behind the client's all the time."""

    others: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1


def direct(settings: QueueZeroIsNotDoneParameters) -> Directions:
    def longer(data: dict[str, Any]) -> dict[str, Any]:
        data["status"]["exec_info"]["queue_remaining"] += settings.others
        return data

    zero = dump("status", {"status": {"exec_info": {"queue_remaining": 0}}})
    return Directions(
        operators=(
            # The answer to an older question: it was on its way when the prompt was submitted.
            inject([zero], "a late zero", at=event("execution_start")),
            mutate(event("status"), "the count of other people's prompts", longer),
        )
    )


SCENARIO = Scenario(
    name="queue-zero-is-not-done",
    row="A07",
    category="completion",
    summary=__doc__,
    correct="goes by frames that name its prompt, and by the history",
    keeps=("K4", "K5"),
    evidence=threads("measured: status comes before the null", "CU#8395"),
    settings=QueueZeroIsNotDoneParameters,
    direct=direct,
)
