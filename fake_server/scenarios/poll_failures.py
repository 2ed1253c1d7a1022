"""The socket is silent, and the first requests to the history fail."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    HISTORY,
    Directions,
    Parameters,
    Scenario,
    anything,
    drop,
    event,
    hang,
    respond,
    text_response,
    threads,
)
from fake_server.source import Response


class PollFailuresParameters(Parameters, frozen=True, kw_only=True):
    """How many, and how."""

    n: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 2
    kind: Literal["timeout", "500", "bad-json"] = "500"


def direct(settings: PollFailuresParameters) -> Directions:
    name = "the first questions"
    match settings.kind:
        case "timeout":
            failing = hang(HISTORY, name, times=settings.n)
        case "500":
            trouble = text_response("500 Internal Server Error", 500)
            failing = respond(HISTORY, name, trouble, times=settings.n)
        case _:
            half = Response(200, (("Content-Type", "application/json"),), b'{"status": {"com')
            failing = respond(HISTORY, name, half, times=settings.n)
    silence = drop(anything, "everything", after=event("execution_start"))
    return Directions(operators=(failing, silence))


SCENARIO = Scenario(
    name="poll-failures",
    row="A74",
    category="history",
    summary=__doc__,
    correct="asks again a few times; a failed request says nothing about the prompt",
    keeps=("K2", "K8"),
    evidence=threads("Scottcjn/bottube#2209"),
    settings=PollFailuresParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
