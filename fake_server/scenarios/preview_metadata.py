"""Previews come with metadata or without, whatever the client asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    Step,
    change_message,
    planned,
    threads,
)
from fake_server.source import MessageReceived


class PreviewMetadataParameters(Parameters, frozen=True, kw_only=True):
    """The client's feature flags are taken (``first``), come too late, or never arrive."""

    flags: Literal["first", "late", "none"] = "none"


def direct(settings: PreviewMetadataParameters) -> Directions:
    late: list[int] = []

    def change(said: MessageReceived, observer: Observer) -> Iterator[Step]:
        if settings.flags == "late" and said.socket not in late:
            late.append(said.socket)
            yield MessageReceived(said.socket, '{"type": "hello"}')
        if settings.flags != "none":
            yield said

    previews = {"format": "png", "size": [32, 32]}
    return Directions(
        operators=(change_message("the feature flags", change),),
        plan=planned(seconds=0.3, steps=3, previews=previews),
    )


SCENARIO = Scenario(
    name="preview-metadata",
    row="A48",
    category="binary",
    summary=__doc__,
    correct="takes either kind, and goes on",
    keeps=("K6",),
    evidence=threads("measured", "ComfyUI's documentation"),
    settings=PreviewMetadataParameters,
    direct=direct,
)
