"""The server is still starting: connections break, then it answers 503, then it works."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    is_request_or_upgrade,
    refuse,
    threads,
)


class SlowStartParameters(Parameters, frozen=True, kw_only=True):
    """How long each stage lasts; each meets at least one attempt, at any speed."""

    refuse_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.2
    then_503_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.2


def direct(settings: SlowStartParameters) -> Directions:
    down_ms = round(settings.refuse_s * 1000)
    up_ms = down_ms + round(settings.then_503_s * 1000)
    return Directions(
        operators=(
            refuse("while down", n=1, fits=is_request_or_upgrade, least_ms=down_ms),
            refuse(
                "while loading",
                n=1,
                how=503,
                fits=is_request_or_upgrade,
                least_ms=up_ms,
                needed=False,
            ),
        )
    )


SCENARIO = Scenario(
    name="slow-start",
    row="A22",
    category="silence",
    summary=__doc__,
    correct="tries again, with pauses",
    keeps=("K8",),
    evidence=threads("runpod-workers/worker-comfyui#186"),
    settings=SlowStartParameters,
    direct=direct,
    shows_on=("cloud",),
)
