"""sessions, exchanges, sockets -> which ComfyUI it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from comfyrec.cassette.records import Session
from comfyrec.timeline.model import Exchange, Socket
from comfyrec.versions import DEFAULT_VERSION, ERAS, oldest_with

__all__ = ["stated_version", "version_of"]

_RELEASE: Final = re.compile(r"v?(\d+\.\d+(?:\.\d+)?|2024-\d\d)")

# A route or message type -> the fact of an era that it shows. The first that is seen decides.
_SIGNS: Final = (
    ("/jobs", "jobs"),
    ("progress_state", "progress_state"),
    ("feature_flags", "progress_state"),
    ("execution_success", "success_event"),
)


def version_of(
    sessions: Sequence[Session], exchanges: Sequence[Exchange], sockets: Sequence[Socket]
) -> str:
    """What the recording says of itself, what /system_stats said, or what the frames show.

    A recording that nothing ran in is taken for the default version.
    """
    stated = stated_version(sessions, exchanges)
    if stated is not None:
        return stated
    seen = {message.peek.type for socket in sockets for message in socket.messages}
    seen |= {"/jobs" for e in exchanges if e.path == "/jobs" and e.status == 200}
    for sign, fact in _SIGNS:
        if sign in seen:
            return oldest_with(fact)
    return ERAS[0] if "executing" in seen else DEFAULT_VERSION


def stated_version(sessions: Sequence[Session], exchanges: Sequence[Exchange]) -> str | None:
    """What the recording says of itself, or what /system_stats said; None: neither did."""
    for said in _said(sessions, exchanges):
        if release := _RELEASE.match(said):
            return release[1]
    return None


def _said(sessions: Sequence[Session], exchanges: Sequence[Exchange]) -> Iterator[str]:
    for session in sessions:
        yield str(session.about.get("comfyui_version", ""))
    for exchange in exchanges:
        if exchange.path == "/system_stats" and isinstance(exchange.response_json, dict):
            system = exchange.response_json.get("system")
            yield str(system.get("comfyui_version", "")) if isinstance(system, dict) else ""
