"""The workflow counts as the editor's own format: 422 `workflow_format_ui`."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    SDK_STUBS,
    SPEC,
    SUBMIT,
    Directions,
    Parameters,
    Scenario,
    respond,
    v2_error,
)


def direct(settings: Parameters) -> Directions:
    refusal = v2_error(422, "workflow_format_ui", "export the workflow in API format")
    return Directions(operators=(respond(SUBMIT, "POST /jobs", refusal, needed=True),))


SCENARIO = Scenario(
    name="v2-workflow-format-ui",
    row="V04",
    category="v2",
    summary=__doc__,
    correct="reports that it was rejected, with the reason",
    keeps=("K1", "K8", "K9"),
    evidence=(SPEC, *SDK_STUBS),
    truth=("rejected",),
    reason=("workflow_format_ui", "export the workflow in API format"),
    direct=direct,
    surface="v2",
)
