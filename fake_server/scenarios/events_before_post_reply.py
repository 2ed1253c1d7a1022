"""Frames of the prompt arrive before the response to its POST."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    delay_response,
    posts,
    threads,
)


class EventsBeforePostReplyParameters(Parameters, frozen=True, kw_only=True):
    """How late the response is."""

    reply_delay_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 100


def direct(settings: EventsBeforePostReplyParameters) -> Directions:
    reply = delay_response(
        posts, "the answer to POST /prompt", ms=settings.reply_delay_ms, needed=True
    )
    return Directions(operators=(reply,))


SCENARIO = Scenario(
    name="events-before-post-reply",
    row="A26",
    category="ordering",
    summary=__doc__,
    correct="keeps the frames of prompts that it does not know yet",
    keeps=("K7",),
    evidence=threads("CU#2435", "SaladTechnologies/comfyui-api adds its listener after the POST"),
    settings=EventsBeforePostReplyParameters,
    direct=direct,
)
