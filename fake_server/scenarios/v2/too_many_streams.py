"""Too many event streams are open: 429 `too_many_streams`."""

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
    refusal = v2_error(429, "too_many_streams", "close another stream first", retry_after="5")
    return Directions(operators=(respond(EVENTS, "GET /jobs/{}/events", refusal),), plan=slow(0.3))


SCENARIO = Scenario(
    name="v2-too-many-streams",
    row="V12",
    category="v2",
    summary=__doc__,
    correct="asks for the job instead",
    keeps=("K1", "K3"),
    evidence=(SPEC, "comfy-api-proxy: 8 streams"),
    direct=direct,
    in_real_time=True,
    surface="v2",
)
