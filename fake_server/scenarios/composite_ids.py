"""Node ids of groups and expanded nodes: `54:62:174`, `4.0.0.1`."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Observer,
    Parameters,
    Scenario,
    dump,
    inject,
    some_node,
    threads,
)


class CompositeIdsParameters(Parameters, frozen=True, kw_only=True):
    """Which ids."""

    ids: tuple[str, ...] = ("54:62:174", "4.0.0.1")


def direct(settings: CompositeIdsParameters) -> Directions:
    def inner(frame: FrameView, observer: Observer) -> list[str]:
        whose = {"prompt_id": frame.prompt_id}
        return [
            message
            for name in settings.ids
            for message in (
                dump("executing", {"node": name, "display_node": name.split(".")[0], **whose}),
                dump("progress", {"value": 1, "max": 1, **whose, "node": name}),
            )
        ]

    return Directions(operators=(inject(inner, "composite ids", at=some_node),))


SCENARIO = Scenario(
    name="composite-ids",
    row="A99",
    category="drift",
    summary=__doc__,
    correct="keeps ids as text",
    keeps=("K6",),
    evidence=threads(
        "pythongosssss/ComfyUI-Custom-Scripts#527", "yolain/ComfyUI-Easy-Use#989", "FE#6730"
    ),
    settings=CompositeIdsParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
