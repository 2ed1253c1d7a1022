"""A prompt with both temporary previews and saved results."""

from __future__ import annotations

from fake_server.scenarios.kit import TWO_OUTPUTS, Directions, Parameters, Scenario, threads


def direct(settings: Parameters) -> Directions:
    return Directions()


SCENARIO = Scenario(
    name="temp-and-output",
    row="A81",
    category="outputs",
    summary=__doc__,
    correct="tells them apart by `type`",
    keeps=("K5",),
    evidence=threads("PNL#180", "worker-comfyui skips temp"),
    direct=direct,
    workflow=TWO_OUTPUTS,
    shows_on=("v2", "cloud"),
)
