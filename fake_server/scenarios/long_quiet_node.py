"""A node works for a long time and sends nothing: that is not a failure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, slow, threads


class LongQuietNodeParameters(Parameters, frozen=True, kw_only=True):
    """How long the node is quiet."""

    quiet_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 1.0


def direct(settings: LongQuietNodeParameters) -> Directions:
    return Directions(plan=slow(settings.quiet_s))


SCENARIO = Scenario(
    name="long-quiet-node",
    row="A20",
    category="silence",
    summary=__doc__,
    correct="goes on waiting while the queue says that the prompt runs",
    keeps=("K8",),
    evidence=threads("CLI#200", "CLI#384", "modal-labs/modal-examples#861"),
    settings=LongQuietNodeParameters,
    direct=direct,
    in_real_time=True,
    shows_on=("v2", "cloud"),
)
