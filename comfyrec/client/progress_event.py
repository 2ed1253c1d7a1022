"""What a callback is called with: one thing that happened to a prompt, and how far it is.

``ProgressEvent`` reads like the dictionary that callbacks of such clients know (``event["type"]``,
``event["nodes_progress"]``) and has the same as attributes. The message is parsed only when
somebody asks for ``data`` or ``raw``, because that costs more than everything else here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["ProgressEvent", "ProgressInfo", "share"]


def share(value: float | None, most: float | None) -> float:
    """``value / most`` within 0 and 1, whatever the two are: 0, negative, NaN, infinite (A32)."""
    if value is None or most is None or not math.isfinite(most) or most <= 0:
        return 0.0
    # NaN and minus infinity fail the comparison, too.
    return min(value / most, 1.0) if value > 0 else 0.0


class ProgressInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How far a prompt is."""

    node_current: str | None = None
    node_progress_value: float | None = None
    """Of the running node, as the server sent it; may be NaN."""
    node_progress_max: float | None = None
    nodes_completed: tuple[str, ...] = ()
    """Nodes that ran."""
    nodes_skipped: tuple[str, ...] = ()
    """Nodes that were cached."""
    nodes_total: int = 0
    nodes_progress: float = 0.0
    """Of the whole prompt, 0 to 1; cached nodes count, and it never falls."""
    queue_position: int | None = None
    """Prompts that run before this one; None if it is not known to wait."""

    @property
    def node_progress(self) -> float:
        """Of the running node, 0 to 100."""
        return 100.0 * share(self.node_progress_value, self.node_progress_max)

    @property
    def nodes_done(self) -> tuple[str, ...]:
        """Cached and completed ones."""
        return self.nodes_skipped + self.nodes_completed


_FIELDS = (
    "type",
    "data",
    "ts",
    "client_id",
    "prompt_id",
    "raw",
    "node_current",
    "node_progress",
    "node_progress_value",
    "node_progress_max",
    "nodes_completed",
    "nodes_skipped",
    "nodes_done",
    "nodes_total",
    "nodes_progress",
    "queue_position",
    "time_submitted",
    "time_elapsed_s",
)
_OF_PROGRESS = frozenset(_FIELDS[6:16])


class ProgressEvent(Mapping[str, Any]):
    """One thing that happened to a prompt.

    Types: ``submitted`` first; every message of the server by its own type, ``preview`` and
    ``text`` for binary ones; ``queue`` when the position changes; ``connection`` when the socket
    is lost or back; and one of ``completed``, ``error``, ``interrupted``, ``cancelled``, ``lost``,
    ``timed-out`` last. The last one has ``detected_by="history"`` if no message announced the end.

    Attributes:
        type: see above.
        ts: Unix time in seconds.
        client_id: of this client.
        prompt_id: of the prompt that is watched.
        progress: how far it is.
        event: the decoded message; None for an event that is not a message.
        message: the message as it came; None for an event that is not a message.
        detected_by: ``history`` or ``None``.
    """

    __slots__ = (
        "_data",
        "_raw",
        "client_id",
        "detected_by",
        "event",
        "message",
        "progress",
        "prompt_id",
        "submitted_us",
        "type",
        "us",
    )

    def __init__(
        self,
        type: str,
        us: int,
        client_id: str,
        prompt_id: str,
        progress: ProgressInfo,
        submitted_us: int,
        event: Any = None,
        message: str | bytes | None = None,
        *,
        data: Any = None,
        raw: Any = None,
        detected_by: str | None = None,
    ) -> None:
        self.type = type
        self.us = us
        self.client_id = client_id
        self.prompt_id = prompt_id
        self.progress = progress
        self.submitted_us = submitted_us
        self.event = event
        self.message = message
        self.detected_by = detected_by
        self._data = data
        self._raw = raw

    @property
    def ts(self) -> float:
        """Unix time in seconds."""
        return self.us / 1e6

    @property
    def time_submitted(self) -> float:
        """Unix time of the acceptance in seconds."""
        return self.submitted_us / 1e6

    @property
    def time_elapsed_s(self) -> float:
        """Since the acceptance."""
        return (self.us - self.submitted_us) / 1e6

    @property
    def raw(self) -> Any:
        """The whole message as a JSON value; the history entry if that was the end; else None."""
        if self._raw is None and isinstance(self.message, str):
            self._raw = json.loads(self.message)
        return self._raw

    @property
    def data(self) -> Any:
        """The message's ``data``, or the payload of an event that is not a message."""
        if self._data is None and isinstance(self.message, str):
            self._data = self.raw.get("data") if isinstance(self.raw, dict) else None
        return self._data

    def __getitem__(self, key: str) -> Any:
        if key in _OF_PROGRESS:
            return getattr(self.progress, key)
        if key in _FIELDS or (key == "detected_by" and self.detected_by):
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        yield from _FIELDS
        if self.detected_by:
            yield "detected_by"

    def __len__(self) -> int:
        return len(_FIELDS) + (self.detected_by is not None)

    def __repr__(self) -> str:
        return f"<ProgressEvent {self.type} {self.prompt_id} {self.progress.nodes_progress:.0%}>"
