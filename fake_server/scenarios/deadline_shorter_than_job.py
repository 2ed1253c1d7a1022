"""The prompt takes longer than a client wants to wait."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, slow, threads


class DeadlineShorterThanJobParameters(Parameters, frozen=True, kw_only=True):
    """How long it takes."""

    job_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 1.5


def direct(settings: DeadlineShorterThanJobParameters) -> Directions:
    return Directions(plan=slow(settings.job_s, steps=10))


SCENARIO = Scenario(
    name="deadline-shorter-than-job",
    row="A23",
    category="silence",
    summary=__doc__,
    correct="may give up, but says so, and names the prompt so that it can be looked up later",
    keeps=("K8",),
    evidence=threads("moeru-ai/airi#2084", "open-webui/open-webui#2378"),
    truth=("success", "timed-out"),
    settings=DeadlineShorterThanJobParameters,
    direct=direct,
    in_real_time=True,
    shows_on=("v2", "cloud"),
)
