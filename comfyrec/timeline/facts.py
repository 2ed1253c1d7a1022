"""sessions, exchanges, sockets -> which ComfyUI it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from comfyrec.cassette.records import Session
from comfyrec.timeline.model import Exchange, Socket
from comfyrec.timeline.prompts import plain_path

__all__ = ["version_of"]

_RELEASE: Final = re.compile(r"v?(\d+\.\d+(?:\.\d+)?|2024-\d\d)")

# A sign -> the oldest recorded generation that gives it (PROTOCOL.md, section 12). First fit wins.
_SIGNS: Final = (
    ("/jobs", "0.8.2"),
    ("progress_state", "0.3.64"),
    ("feature_flags", "0.3.64"),
    ("execution_success", "0.3.10"),
    ("executing", "2024-07"),
)
NEWEST: Final = "0.27.0"


def version_of(
    sessions: Sequence[Session], exchanges: Sequence[Exchange], sockets: Sequence[Socket]
) -> str:
    """What the recording says of itself, what /system_stats said, or what the frames show.

    A recording without any sign is taken for the newest generation that was recorded.
    """
    for said in _said(sessions, exchanges):
        if release := _RELEASE.match(said):
            return release[1]
    seen = {message.peek.type for socket in sockets for message in socket.messages}
    seen |= {"/jobs" for e in exchanges if plain_path(e) == "/jobs" and e.status == 200}
    return next((version for sign, version in _SIGNS if sign in seen), NEWEST)


def _said(sessions: Sequence[Session], exchanges: Sequence[Exchange]) -> Iterator[str]:
    for session in sessions:
        yield str(session.about.get("comfyui_version", ""))
    for exchange in exchanges:
        if plain_path(exchange) == "/system_stats" and isinstance(exchange.response_json, dict):
            system = exchange.response_json.get("system")
            yield str(system.get("comfyui_version", "")) if isinstance(system, dict) else ""
