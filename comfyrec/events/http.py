"""HTTP body -> struct: what ComfyUI's routes answer (protocol.md sections 6 to 10).

Fields that are not in the schema are passed over here: a body is at hand anyway. Fields that only
newer servers send default to ``None`` or to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from comfyrec.errors import DecodeError

from .codec import decode_text
from .outputs import FileEntry, all_files_in, files_in
from .python_json import BAD_INPUT, comfy_json, read_json
from .schema import NodeId, Number, TextEvent

__all__ = [
    "Device",
    "Features",
    "History",
    "HistoryEntry",
    "HistoryStatus",
    "InputError",
    "Job",
    "Jobs",
    "NodeErrors",
    "Pagination",
    "PromptInfo",
    "PromptResponse",
    "Queue",
    "QueueCount",
    "QueueItem",
    "Reason",
    "Refusal",
    "SystemInfo",
    "SystemStats",
    "UploadAnswer",
    "decode_http",
]

T_ = TypeVar("T_")


def decode_http(kind: type[T_], body: str | bytes) -> T_:
    """Turn one JSON body into a struct of the given kind, as in ``decode_http(Queue, body)``.

    Raises:
        DecodeError: not JSON, or a field of the kind is missing or of the wrong type.
    """
    read: Callable[[str | bytes], T_] = _decoder(cast("Hashable", kind))
    try:
        return read(body)
    except BAD_INPUT:
        pass  # Python's json may still read it: a history holds what the nodes produced
    try:
        return msgspec.convert(read_json(body), kind)
    except DecodeError:
        raise
    except BAD_INPUT as misfit:
        name = getattr(kind, "__name__", str(kind))
        raise DecodeError(f"no {name}: {misfit}", body) from None


@cache
def _decoder(kind: Hashable) -> Callable[[str | bytes], Any]:
    decode: Callable[[str | bytes], Any] = msgspec.json.Decoder(kind).decode
    return decode


class Body(msgspec.Struct, frozen=True):
    """What all parts of bodies share."""


# --- POST /prompt ----------------------------------------------------------------------------


class Reason(Body, frozen=True):
    """Why a whole prompt was refused (protocol.md section 6.1)."""

    type: str
    message: str = ""
    details: str = ""
    extra_info: dict[str, Any] = {}


class InputError(Body, frozen=True):
    """What is wrong with one input, or one node."""

    type: str
    message: str = ""
    details: str = ""
    extra_info: dict[str, Any] = {}


class NodeErrors(Body, frozen=True):
    """All that is wrong with one node."""

    errors: list[InputError]
    dependent_outputs: list[NodeId] = []
    class_type: str | None = None


class PromptResponse(Body, frozen=True):
    """The prompt is queued. ``node_errors`` names outputs that were left out, if any."""

    prompt_id: str
    number: Number
    """Its place: the lowest runs first; negative and float are possible."""
    node_errors: dict[str, NodeErrors] = {}


class Refusal(Body, frozen=True):
    """An error body: of a refused prompt, or ``{"error": text}`` of the jobs routes."""

    error: Reason | str
    """A bare text before 0.3.28, for what is wrong with the whole prompt."""
    node_errors: dict[str, NodeErrors] | list[Any] = {}
    """An (empty) list beside a bare text."""

    @property
    def reason(self) -> Reason:
        """The error, with the old bare text as its message."""
        return Reason("", self.error) if isinstance(self.error, str) else self.error

    @property
    def by_node(self) -> dict[str, NodeErrors]:
        """The errors by node id, whatever the server's age."""
        return self.node_errors if isinstance(self.node_errors, dict) else {}


# --- queue and history -----------------------------------------------------------------------


class QueueCount(Body, frozen=True):
    queue_remaining: int


class PromptInfo(Body, frozen=True):
    """``GET /prompt``."""

    exec_info: QueueCount


class QueueItem(Body, frozen=True, array_like=True):
    """A prompt in the queue or the history: an array, of five items or more."""

    number: Number
    prompt_id: str
    prompt: dict[str, Any]
    extra_data: dict[str, Any] = {}
    outputs_to_execute: list[NodeId] = []

    @property
    def client_id(self) -> str | None:
        """Whose prompt it is, if it says so."""
        client_id = self.extra_data.get("client_id")
        return client_id if isinstance(client_id, str) else None


class Queue(Body, frozen=True):
    """``GET /queue``. Pending items come in heap order, which is not the order they run in."""

    queue_running: list[QueueItem]
    queue_pending: list[QueueItem]


class HistoryStatus(Body, frozen=True):
    """How a prompt ended."""

    status_str: str
    """``success`` or ``error``; an interrupted prompt says ``error`` too."""
    completed: bool
    messages: list[tuple[str, Any]] = []
    """(type, data) of its start, its cached nodes and its end."""

    @property
    def events(self) -> list[TextEvent]:
        """The messages as the events that they were."""
        return [
            decode_text(comfy_json({"type": name, "data": data})) for name, data in self.messages
        ]


class WithOutputs:
    """What an entry's outputs give, whatever else the entry has."""

    __slots__ = ()

    outputs: dict[str, dict[str, Any] | None]

    @property
    def files(self) -> dict[str, list[FileEntry]]:
        """The files by node."""
        return {node: list(files_in(output)) for node, output in self.outputs.items()}

    def all_files(self) -> Iterator[FileEntry]:
        """Every file of the prompt."""
        return all_files_in(self.outputs)


class HistoryEntry(WithOutputs, Body, frozen=True):
    """A prompt that has ended (protocol.md section 8)."""

    prompt: QueueItem
    outputs: dict[str, dict[str, Any] | None] = {}
    status: HistoryStatus | None = None
    """Since January 2024."""
    meta: dict[str, dict[str, Any]] = {}
    """Since 0.1.0: node id -> node_id, display_node, parent_node, real_node_id."""


History = dict[str, HistoryEntry]
"""``GET /history`` and ``GET /history/{id}``: prompt id -> entry, in order of completion."""


# --- jobs ------------------------------------------------------------------------------------


class Job(Body, frozen=True):
    """A prompt as the jobs routes tell it (protocol.md section 9); what is unknown is absent."""

    id: str
    status: str
    """``pending``, ``in_progress``, ``completed``, ``failed`` or ``cancelled``."""
    priority: Number | None = None
    create_time: int | None = None
    """Unix time in milliseconds, as the other times."""
    update_time: int | None = None
    """Only from Comfy Cloud."""
    execution_start_time: int | None = None
    execution_end_time: int | None = None
    execution_error: dict[str, Any] | None = None
    outputs_count: int | None = None
    previewable_outputs_count: int | None = None
    preview_output: dict[str, Any] | None = None
    workflow_id: str | None = None
    outputs: dict[str, dict[str, Any] | None] | None = None
    execution_status: HistoryStatus | None = None
    workflow: dict[str, Any] | None = None
    """``prompt`` and ``extra_data``."""
    error_message: str | None = None
    """Why it failed, as JSON in a text (or as a text); only from Comfy Cloud."""
    execution_meta: dict[str, Any] | None = None
    """What ``meta`` of the history is; only from Comfy Cloud."""


class Pagination(Body, frozen=True):
    offset: int
    limit: int | None
    total: int
    has_more: bool


class Jobs(Body, frozen=True):
    """``GET /api/jobs``."""

    jobs: list[Job]
    pagination: Pagination


# --- the server ------------------------------------------------------------------------------


class SystemInfo(Body, frozen=True):
    os: str | None = None
    ram_total: int | None = None
    ram_free: int | None = None
    comfyui_version: str | None = None
    required_frontend_version: str | None = None
    python_version: str | None = None
    pytorch_version: str | None = None
    embedded_python: bool | None = None
    deploy_environment: str | None = None
    argv: list[str] = []


class Device(Body, frozen=True):
    name: str
    type: str
    index: int | None = None
    vram_total: int | None = None
    vram_free: int | None = None
    torch_vram_total: int | None = None
    torch_vram_free: int | None = None


class SystemStats(Body, frozen=True):
    """``GET /system_stats``. Sizes are bytes."""

    system: SystemInfo
    devices: list[Device] = []


Features = dict[str, Any]
"""``GET /features``: the server's flags."""


class UploadAnswer(Body, frozen=True):
    """``POST /upload/image`` and ``/upload/mask``: where the file is now."""

    name: str
    subfolder: str = ""
    type: str = "input"
    asset: dict[str, Any] | None = None
    """With assets on."""

    @property
    def file(self) -> FileEntry:
        """The same, as outputs and ``/view`` name a file."""
        return FileEntry(self.name, self.subfolder, self.type)
