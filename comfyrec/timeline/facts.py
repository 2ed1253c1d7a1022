"""sessions, exchanges, sockets -> which ComfyUI it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from comfyrec.cassette.records import Session
from comfyrec.timeline.model import Exchange, Socket
from comfyrec.versions import DEFAULT_VERSION, ERAS, oldest_with

__all__ = ["VersionSigns", "version_signs"]

_RELEASE: Final = re.compile(r"v?(\d+\.\d+(?:\.\d+)?|2024-\d\d)")

# A route or message type -> the fact of an era that it shows. The first that is seen decides.
_SIGNS: Final = (
    ("/jobs", "jobs"),
    ("progress_state", "progress_state"),
    ("feature_flags", "progress_state"),
    ("execution_success", "success_event"),
)


class VersionSigns:
    """Takes what a recording shows of its server's version, in order."""

    def __init__(self) -> None:
        self.stated: str | None = None
        """What the recording says of itself, or what /system_stats said; None: neither did."""
        self._seen: set[str] = set()

    def about(self, facts: Mapping[str, Any]) -> None:
        """What whoever recorded wrote down."""
        self._said(facts.get("comfyui_version", ""))

    def exchange(self, exchange: Exchange) -> None:
        """An answer."""
        if exchange.path == "/jobs" and exchange.status == 200:
            self._seen.add("/jobs")
        elif exchange.path == "/system_stats" and isinstance(exchange.response_json, dict):
            system = exchange.response_json.get("system")
            self._said(system.get("comfyui_version", "") if isinstance(system, dict) else "")

    def message(self, kind: str) -> None:
        """A message of the server, by its type."""
        self._seen.add(kind)

    def _said(self, version: Any) -> None:
        release = _RELEASE.match(str(version)) if self.stated is None else None
        if release is not None:
            self.stated = release[1]

    @property
    def version(self) -> str:
        """The one that was stated, or the oldest recorded generation that fits.

        A recording that nothing ran in is taken for the default version.
        """
        if self.stated is not None:
            return self.stated
        for sign, fact in _SIGNS:
            if sign in self._seen:
                return oldest_with(fact)
        return ERAS[0] if "executing" in self._seen else DEFAULT_VERSION


def version_signs(
    sessions: Iterable[Session], exchanges: Iterable[Exchange], sockets: Iterable[Socket]
) -> VersionSigns:
    """What a whole recording shows."""
    signs = VersionSigns()
    for session in sessions:
        signs.about(session.about)
    for exchange in exchanges:
        signs.exchange(exchange)
    for kind in {message.peek.type for socket in sockets for message in socket.messages}:
        signs.message(kind)
    return signs
