"""A request -> which prompts it means to stop."""

from __future__ import annotations

from typing import Any

import msgspec

from fake_server.replay.recorded.request_key import RequestKey

__all__ = ["CancelTarget", "cancel_target_of"]


class CancelTarget(msgspec.Struct, frozen=True):
    """Whom a request stops; ids as in the recording where a recorded id is meant."""

    running: bool = False
    """It stops what runs."""
    pending: bool = False
    """It takes off the queue what waits."""
    ids: tuple[str, ...] | None = None
    """Only these; None: whoever it is."""


def cancel_target_of(request_key: RequestKey) -> CancelTarget | None:
    """Whom a request wants to stop (protocol.md, section 7); None for all other requests."""
    if request_key.method != "POST":
        return None
    body = request_key.json if isinstance(request_key.json, dict) else {}
    path = request_key.path
    if path == "/interrupt":
        prompt_id = body.get("prompt_id")
        return CancelTarget(running=True, ids=(str(prompt_id),) if prompt_id else None)
    if path == "/queue":
        return CancelTarget(
            pending=True, ids=None if body.get("clear") else _strings(body.get("delete"))
        )
    if path == "/jobs/cancel":
        return CancelTarget(running=True, pending=True, ids=_strings(body.get("job_ids")))
    if path.startswith("/jobs/") and path.endswith("/cancel"):
        return CancelTarget(
            running=True, pending=True, ids=(path[len("/jobs/") : -len("/cancel")],)
        )
    return None


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
