"""The answer to the submission is lost on its way: sent again with its key, it is refused."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    SDK_STUBS,
    SPEC,
    SUBMIT,
    Directions,
    Parameters,
    Scenario,
    lose_response,
)


def direct(settings: Parameters) -> Directions:
    return Directions(
        operators=(lose_response(SUBMIT, "the answer to POST /jobs", times=1, needed=True),)
    )


SCENARIO = Scenario(
    name="v2-idempotency-reuse",
    row="V07",
    category="v2",
    summary=__doc__,
    correct="looks for the job in the list instead of calling it rejected",
    keeps=("K1", "K3"),
    evidence=(SPEC, *SDK_STUBS),
    truth=("success", "lost"),
    direct=direct,
    surface="v2",
)
