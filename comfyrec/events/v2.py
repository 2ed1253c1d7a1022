"""Comfy API v2, typed: its job and asset objects, its server-sent events, its errors.

After the published OpenAPI document (``openapi-v2.yaml`` in Comfy-Org/docs, version 2.0.0). Fields
that the document does not have are passed over. ``None`` is a field that is null or not there.
Times are texts, as RFC 3339 has them. Words that a later server may add to (states, kinds of
outputs, codes) are plain texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .http import decode_http
from .python_json import read_json

__all__ = [
    "EVENTS",
    "STATES",
    "TERMINAL",
    "Asset",
    "ErrorDetail",
    "ErrorEnvelope",
    "Job",
    "JobError",
    "JobList",
    "JobLogs",
    "JobUrls",
    "JobWorkflow",
    "Log",
    "Misfit",
    "Output",
    "Preview",
    "Progress",
    "StatusChange",
    "Unknown",
    "V2Event",
    "decode_event",
    "decode_http",
]

STATES: Final = (
    "queued", "running", "succeeded", "canceling", "canceled", "failed", "expired",
)  # fmt: skip
"""queued, running, then one of the others; a cancel request leads through ``canceling``."""
TERMINAL: Final = frozenset({"succeeded", "canceled", "failed", "expired"})
"""States that a job does not leave. ``canceling`` is not one."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What all parts of bodies share."""


# --- jobs ------------------------------------------------------------------------------------


class JobUrls(Body, frozen=True):
    """Where a job is asked, heard and canceled: absolute, or from the root of the same host.

    They hold any prefix that the surface is mounted under.
    """

    self: str
    events: str
    cancel: str


class Progress(Body, frozen=True):
    """A whole snapshot of how far a job is; also the data of the event ``progress``."""

    value: float | None = None
    """Of the whole job, from 0 to 1."""
    nodes_done: int | None = None
    nodes_total: int | None = None
    current_node: str | None = None
    current_node_class: str | None = None
    step: int | None = None
    steps: int | None = None
    message: str | None = None


class Output(Body, frozen=True):
    """A result that is there; also the data of the event ``output``. It is an asset, too."""

    node_id: str | None = None
    name: str | None = None
    type: str | None = None
    """``image``, ``video``, ``audio``, ``text``, ``file`` or ``latent``."""
    content_type: str | None = None
    size_bytes: int | None = None
    id: str | None = None
    hash: str | None = None
    url: str | None = None
    url_expires_at: str | None = None
    job_id: str | None = None


class JobError(Body, frozen=True):
    """Why a job failed."""

    code: str
    message: str
    node_id: str | None = None
    class_type: str | None = None
    traceback: str | None = None


class JobLogs(Body, frozen=True):
    """What a run printed, as whatever ran in it wrote it."""

    text: str
    truncated: bool
    """``text`` is the end of something longer."""
    captured_at: str


class Job(Body, frozen=True):
    """One execution of a workflow."""

    id: str
    status: str
    """One of ``STATES``."""
    created_at: str
    started_at: str | None
    completed_at: str | None
    expires_at: str
    queue_position: int | None
    progress: Progress | None
    outputs: list[Output]
    """Those that are there so far."""
    error: JobError | None
    urls: JobUrls
    metrics: dict[str, int | None] | None = None
    """``queue_ms``, ``execution_ms``."""
    metadata: Any = None
    """Labels that were given with the workflow; newer than version 2.0.0."""
    logs: JobLogs | msgspec.UnsetType = msgspec.UNSET
    """Of a finished job of a deployment that was asked for; ``UNSET``, which counts as false, for
    all others. In later texts of version 2.0.0."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is over."""
        return self.status in TERMINAL


class JobList(Body, frozen=True):
    """A page of jobs, the newest first, in the light shape of lists; newer than version 2.0.0."""

    jobs: list[dict[str, Any]]
    next_cursor: str | None = None


class JobWorkflow(Body, frozen=True):
    """The workflow behind a job: as ``save`` it is the page's own, as ``api`` what was executed."""

    workflow: dict[str, Any]
    format: str


class Asset(Body, frozen=True):
    """A record over bytes that are known by their BLAKE3 hash."""

    id: str
    hash: str | None
    """``blake3:`` and 64 hexadecimal digits; null while it is not computed."""
    size_bytes: int
    content_type: str
    created_at: str
    url: str
    url_expires_at: str
    file_path: str | None = None
    created_new: bool | None = None
    """Only when it was just made: whether the bytes were new, too."""
    expires_at: str | None = None
    job_id: str | None = None


class ErrorDetail(Body, frozen=True):
    """What went wrong, as a code for programs and a sentence for people."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class ErrorEnvelope(Body, frozen=True):
    """The body of every answer that is an error."""

    error: ErrorDetail


# --- server-sent events ------------------------------------------------------------------------
# A field that is missing is None, as in frames of ComfyUI: servers and gateways leave some out.


class StatusChange(Body, frozen=True):
    """The event ``status``: every state, the first one on connecting, and places in the queue."""

    status: str | None = None
    queue_position: int | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the stream ends after it."""
        return self.status in TERMINAL


class Preview(Body, frozen=True):
    """The event ``preview``: a picture of the work in progress."""

    node_id: str | None = None
    content_type: str | None = None
    data_base64: str | None = None

    @property
    def image(self) -> bytes:
        """The picture's bytes; empty when there are none, or when they are not base64."""
        import base64
        import binascii

        try:
            return base64.b64decode(self.data_base64 or "")
        except (binascii.Error, ValueError):
            return b""


class Log(Body, frozen=True):
    """The event ``log``: a line of the console. No server sends it yet."""

    level: str | None = None
    message: str | None = None


class Unknown(Body, frozen=True):
    """An event of a type that the document does not have."""

    event: str
    data: Any


class Misfit(Body, frozen=True):
    """An event of a known type whose data is of the wrong kind."""

    event: str
    data: Any
    why: str


V2Event = StatusChange | Progress | Preview | Output | Log | Unknown | Misfit

EVENTS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "status": StatusChange,
    "progress": Progress,
    "preview": Preview,
    "output": Output,
    "log": Log,
}
"""Type of an event -> what its data is."""


def decode_event(event: str, data: str | bytes) -> V2Event:
    """Turn one server-sent event into a struct.

    Args:
        event: its type, such as ``progress``.
        data: its data, which is JSON.

    Raises:
        DecodeError: the data is not JSON at all.
    """
    value = read_json(data)
    kind = EVENTS.get(event)
    if kind is None:
        return Unknown(event=event, data=value)
    try:
        found: V2Event = msgspec.convert(value, kind)  # type: ignore[assignment]  # one of EVENTS
    except msgspec.ValidationError as misfit:
        return Misfit(event=event, data=value, why=str(misfit))
    return found
