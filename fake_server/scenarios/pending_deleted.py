"""The prompt is deleted from the queue before it starts: no frame, and no history, ever."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    ahead,
    meddle,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def delete(prompt: ObservedPrompt) -> Request:
        return Request("POST", "/queue", body=write_json({"delete": [prompt.id]}))

    return Directions(
        operators=(
            meddle("a deletion", delete, at=None, ends="cancelled"),
            ahead("somebody else", n=1),
        ),
        people_s=2,
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
)
