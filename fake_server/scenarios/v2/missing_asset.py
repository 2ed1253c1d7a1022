"""An asset that the workflow names is not there any more: 422 `missing_asset`."""

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
    refusal = v2_error(422, "missing_asset", "there is no such asset")
    return Directions(operators=(respond(SUBMIT, "POST /jobs", refusal, needed=True),))


SCENARIO = Scenario(
    name="v2-missing-asset",
    row="V05",
    category="v2",
    summary=__doc__,
    correct="reports that it was rejected, with the reason",
    keeps=("K1", "K8", "K9"),
    evidence=(SPEC,),
    truth=("rejected",),
    reason=("missing_asset", "there is no such asset"),
    direct=direct,
    surface="v2",
)
