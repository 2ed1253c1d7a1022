"""The job ends as `expired`: it was given up, and there are no outputs."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import (
    EVENTS,
    JOB,
    SPEC,
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_events,
    patch_json,
    read_json,
    v2_route,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def gone(value: Any, request: Request, observer: Observer) -> Any:
        return {**value, "status": "expired", "outputs": []} if _is_over(value) else value

    def ended(block: bytes) -> bytes:
        value = read_json(block.partition(b"data: ")[2])
        if not _is_over(value):
            return block
        return b"event: status\ndata: " + write_json({"status": "expired"}) + b"\n\n"

    return Directions(
        operators=(
            patch_json(JOB, "the job", gone),
            patch_json(v2_route("GET /jobs"), "the list", lambda value, *_: {**value, "jobs": []}),
            change_events(EVENTS, "the last status", "status", ended),
            change_events(EVENTS, "outputs", "output", lambda block: b""),
        )
    )


def _is_over(value: Any) -> bool:
    return isinstance(value, dict) and value.get("status") == "succeeded"


SCENARIO = Scenario(
    name="v2-expired",
    row="V20",
    category="v2",
    summary=__doc__,
    correct="reports it as lost, and waits no longer",
    keeps=("K1", "K2", "K3"),
    evidence=(SPEC,),
    truth=("lost",),
    direct=direct,
    surface="v2",
)
