"""Somebody interrupts the prompt while it runs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    slow,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


class InterruptParameters(Parameters, frozen=True, kw_only=True):
    """How long the node has been working by then."""

    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=5_000)] = 50


def direct(settings: InterruptParameters) -> Directions:
    def stop(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/interrupt", body=write_json({"prompt_id": prompt.id}))

    return Directions(
        operators=(third_party_request("an interrupt", stop, delay_ms=settings.delay_ms),),
        plan=slow(10, steps=100),
    )


SCENARIO = Scenario(
    name="interrupt",
    row="A65",
    category="interrupt",
    summary=__doc__,
    correct="reports interrupted, not error and not success",
    keeps=("K1", "K3"),
    evidence=threads("CU#3019", "measured"),
    truth=("interrupted",),
    settings=InterruptParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
