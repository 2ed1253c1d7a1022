"""The node never looks for interrupts: it runs on for a while after the 200."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    planned,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


class InterruptIgnoredParameters(Parameters, frozen=True, kw_only=True):
    """For how long."""

    for_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.5


def direct(settings: InterruptIgnoredParameters) -> Directions:
    def stop(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/interrupt", body=write_json({"prompt_id": prompt.id}))

    return Directions(
        operators=(third_party_request("an interrupt", stop),),
        plan=planned(seconds=settings.for_s, at_least=True, deaf=True),
    )


SCENARIO = Scenario(
    name="interrupt-ignored",
    row="A71",
    category="interrupt",
    summary=__doc__,
    correct="waits on, with a limit, and reports what happened in the end",
    keeps=("K1", "K8"),
    evidence=threads("nodes that never check, in the server's code"),
    truth=("interrupted",),
    settings=InterruptIgnoredParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
