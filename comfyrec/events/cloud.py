"""HTTP body -> struct: what Comfy Cloud's first API answers where a local server does not.

``/api/*`` of Comfy Cloud has ComfyUI's own bodies otherwise (protocol.md section 14): ``Job``,
``Jobs`` and ``UploadAnswer`` read both. Facts are from Comfy-Org/docs,
``openapi-cloud.yaml`` and ``development/cloud`` of 21 August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .http import Body, HistoryStatus, WithOutputs
from .schema import NodeId, Number

__all__ = [
    "CloudError",
    "CloudHistory",
    "CloudHistoryEntry",
    "CloudUser",
    "HistoryList",
    "JobStatus",
    "ListedEntry",
    "PromptObject",
]

ENDS: Final[Mapping[str, str]] = {
    "success": "success",
    "completed": "success",
    "error": "error",
    "failed": "error",
    "non_retryable_error": "error",
    "lost": "lost",
    "cancelled": "cancelled",
}
"""Status words that end a job -> how it ended. The pages name ``success`` and ``error``, the
specification ``completed``; servers have sent both. Any other word says that the job goes on."""


class CloudError(Body, frozen=True):
    """What every route but ``POST /api/prompt`` answers when it refuses."""

    code: str
    message: str


class JobStatus(Body, frozen=True):
    """``GET /api/job/{id}/status``. Times are ISO 8601."""

    status: str
    id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    last_state_update: str | None = None
    assigned_inference: str | None = None
    """The machine that works on the job."""
    error_message: str | None = None

    @property
    def end(self) -> str | None:
        """``success``, ``error``, ``lost`` or ``cancelled``; ``None`` while the job goes on."""
        return ENDS.get(self.status)


class PromptObject(Body, frozen=True):
    """A prompt in the history: an object that says what the array ``QueueItem`` says."""

    number: Number | None = msgspec.field(name="priority", default=None)
    prompt_id: str | None = None
    prompt: dict[str, Any] = msgspec.field(default_factory=dict)
    """Not in lists."""
    extra_data: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs_to_execute: list[NodeId] = msgspec.field(default_factory=list)

    @property
    def client_id(self) -> str | None:
        """Whose prompt it is, if it says so."""
        client_id = self.extra_data.get("client_id")
        return client_id if isinstance(client_id, str) else None


class CloudHistoryEntry(WithOutputs, Body, frozen=True, kw_only=True):
    """A job that has ended, with the prompt as an object."""

    prompt: PromptObject | None = None
    outputs: dict[str, dict[str, Any] | None] = msgspec.field(default_factory=dict)
    status: HistoryStatus | None = None
    meta: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


CloudHistory = dict[str, CloudHistoryEntry]
"""``GET /api/history_v2/{id}``: prompt id -> entry."""


class ListedEntry(CloudHistoryEntry, frozen=True, kw_only=True):
    """An entry of ``GET /api/history_v2``: the nodes of its prompt are left out."""

    prompt_id: str
    create_time: int | None = None
    """Unix time in milliseconds."""
    workflow_id: str | None = None


class HistoryList(Body, frozen=True):
    """``GET /api/history_v2``, the newest first."""

    history: list[ListedEntry]


class CloudUser(Body, frozen=True):
    """``GET /api/user``."""

    status: str
    """``active`` or ``waitlisted``."""
