"""The prompt is deleted from the queue before it starts: no frame, and no history entry."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    queued_before,
    third_party_request,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def delete(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/queue", body=write_json({"delete": [prompt.id]}))

    return Directions(
        operators=(
            third_party_request("a deletion", delete, at=None, ends="cancelled"),
            queued_before("somebody else", n=1),
        ),
        other_users_s=2,
    )


SCENARIO = Scenario(
    name="pending-deleted",
    row="A68",
    category="interrupt",
    summary=__doc__,
    correct="finds it neither in the history nor in the queue, and reports it cancelled",
    keeps=("K1", "K2"),
    evidence=threads("mason276752/n8n-nodes-comfyui#16", "comfy-addons/comfyui-sdk#9", "measured"),
    truth=("cancelled", "lost"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
