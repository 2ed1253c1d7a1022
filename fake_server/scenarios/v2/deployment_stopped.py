"""The deployment was stopped: 422 `deployment_stopped`, for good."""

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
    refusal = v2_error(422, "deployment_stopped", "the deployment is stopped")
    return Directions(operators=(respond(SUBMIT, "POST /jobs", refusal, needed=True),))


SCENARIO = Scenario(
    name="v2-deployment-stopped",
    row="V03",
    category="v2",
    summary=__doc__,
    correct="reports that it was rejected, with the reason; does not try for ever",
    keeps=("K1", "K8", "K9"),
    evidence=(SPEC,),
    truth=("rejected",),
    reason=("deployment_stopped", "the deployment is stopped"),
    direct=direct,
    surface="v2",
)
