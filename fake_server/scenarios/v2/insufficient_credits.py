"""The account has no credits left: 402 `insufficient_credits`."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    SPEC,
    SUBMIT,
    Directions,
    Parameters,
    Scenario,
    respond,
    v2_error,
)


def direct(settings: Parameters) -> Directions:
    refusal = v2_error(402, "insufficient_credits", "the account has no credits left")
    return Directions(operators=(respond(SUBMIT, "POST /jobs", refusal, needed=True),))


SCENARIO = Scenario(
    name="v2-insufficient-credits",
    row="V06",
    category="v2",
    summary=__doc__,
    correct="reports that it was rejected, with the reason; does not try for ever",
    keeps=("K1", "K8", "K9"),
    evidence=(SPEC,),
    truth=("rejected",),
    reason=("insufficient_credits", "the account has no credits left"),
    direct=direct,
    surface="v2",
)
