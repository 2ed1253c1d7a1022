"""Another program connects with the same client id and receives all events."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    anything,
    drop,
    event,
    second_client,
    threads,
)


def direct(settings: Parameters) -> Directions:
    start = event("execution_start")
    return Directions(
        operators=(
            drop(anything, "everything to the displaced socket", after=start),
            second_client("same client id", at=start),
        )
    )


SCENARIO = Scenario(
    name="shared-client-id",
    row="A40",
    category="cross-talk",
    summary=__doc__,
    correct="asks the history when nothing comes",
    keeps=("K2",),
    evidence=threads("OW#23592", "CU#549", "LuqP2/Image-MetaHub#482"),
    direct=direct,
)
