"""Another user, waiting in the queue, interrupts without naming a prompt, and hits the client's."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    slow,
    small_post,
    third_party_request,
    threads,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def stop(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/interrupt")

    def theirs(prompt: ObservedPrompt) -> Request:
        return small_post(1)

    return Directions(
        operators=(
            third_party_request("a prompt of theirs", theirs),
            third_party_request("their interrupt", stop, delay_ms=50),
        ),
        plan=slow(10, steps=100),
    )


SCENARIO = Scenario(
    name="interrupt-hits-other",
    row="A66",
    category="interrupt",
    summary=__doc__,
    correct="reports interrupted, whoever asked for it",
    keeps=("K1", "K3"),
    evidence=threads("CU#2566", "CU#7513", "yolain/ComfyUI-Easy-Use#843", "CLI#470"),
    truth=("interrupted",),
    direct=direct,
)
