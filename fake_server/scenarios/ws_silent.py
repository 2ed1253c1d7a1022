"""The socket stays open and falls silent; HTTP goes on, and the prompt completes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    anything,
    drop,
    event,
    threads,
)


class WsSilentParameters(Parameters, frozen=True, kw_only=True):
    """After what: the first frame, `execution_start`, or a number of frames."""

    after: Literal["connect", "start"] | Annotated[int, msgspec.Meta(ge=0)] = "connect"


def direct(settings: WsSilentParameters) -> Directions:
    match settings.after:
        case "connect":
            silence = drop(anything, "everything", after=event("status"))
        case "start":
            silence = drop(anything, "everything", after=event("execution_start"))
        case 0:
            silence = drop(anything, "everything")
        case count:
            silence = drop(anything, "everything", after=anything, nth=count)
    return Directions(operators=(silence,))


SCENARIO = Scenario(
    name="ws-silent",
    row="A16",
    category="silence",
    summary=__doc__,
    correct="asks the history, and the queue, when nothing comes",
    keeps=("K2",),
    evidence=threads("CU#9393", "CU#3390", "CU#3128", "SaladTechnologies/comfyui-api#186"),
    settings=WsSilentParameters,
    direct=direct,
    shows_on=("cloud",),
)
