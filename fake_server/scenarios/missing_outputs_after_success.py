"""The history says success, but a node that should have outputs is missing from it."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    ObservedPrompt,
    Parameters,
    Scenario,
    drop,
    patch_history,
    threads,
)


class MissingOutputsAfterSuccessParameters(Parameters, frozen=True, kw_only=True):
    """``node_ids``: which outputs are missing; none named: all of them."""

    node_ids: tuple[str, ...] = ()


def direct(settings: MissingOutputsAfterSuccessParameters) -> Directions:
    def lost(node: str) -> bool:
        return not settings.node_ids or node in settings.node_ids

    def entry(entry: dict[str, Any], prompt: ObservedPrompt) -> dict[str, Any]:
        outputs = {node: out for node, out in entry["outputs"].items() if not lost(node)}
        return {**entry, "outputs": outputs}

    def frame(frame: FrameView) -> bool:
        return frame.type == "executed" and lost(str(frame.data.get("node")))

    return Directions(
        operators=(drop(frame, "executed"), patch_history("outputs are missing", entry))
    )


SCENARIO = Scenario(
    name="missing-outputs-after-success",
    row="A10",
    category="completion",
    summary=__doc__,
    correct="reports success, with the outputs that are there",
    keeps=("K5",),
    evidence=threads("xingren23/ComfyFlowApp#68", "OW#1611"),
    settings=MissingOutputsAfterSuccessParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
