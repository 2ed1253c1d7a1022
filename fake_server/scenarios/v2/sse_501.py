"""There are no event streams here: 501 `not_implemented`."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    EVENTS,
    SPEC,
    Directions,
    Parameters,
    Scenario,
    respond,
    slow,
    v2_error,
)


def direct(settings: Parameters) -> Directions:
    refusal = v2_error(501, "not_implemented", "this deployment has no event streams")
    return Directions(operators=(respond(EVENTS, "GET /jobs/{}/events", refusal),), plan=slow(0.3))


SCENARIO = Scenario(
    name="v2-sse-501",
    row="V11",
    category="v2",
    summary=__doc__,
    correct="asks for the job instead",
    keeps=("K1", "K3"),
    evidence=(SPEC, "comfy-sdk: 'a surface without SSE ends the iteration silently'"),
    direct=direct,
    in_real_time=True,
    surface="v2",
)
