"""One struct per text event that a ComfyUI server sends, and two for all others.

Every text message is ``{"type": str, "data": ...}`` (protocol.md section 2). The struct of a type
has its own struct for ``data``, so that names read as on the wire: ``event.data.prompt_id``.
``None`` is a field that was not sent: an older server lacks some, Comfy Cloud demands few (of
``execution_error`` only ``prompt_id`` and ``exception_message``), and documents and fakes leave out
what they do not need. Node ids are strings; integers are taken as well. Beside ``data`` every event
has

- ``raw``, the message, with all that the schema does not know,
- ``extra``, the members of ``data`` that the schema does not know,
- ``type``, its name on the wire, and ``prompt_id``, if it names a prompt.

Two events are equal when they say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from .endings import BLOCKED
from .lazy_fields import (
    NOT_ON_THE_WIRE,
    NOT_SENT,
    ByAttribute,
    Seen,
    anything,
    entries,
    later,
    misfits_of,
    written,
    written_field,
)
from .outputs import FileEntry, files_in
from .python_json import comfy_json, read_json, text_of

__all__ = [
    "KNOWN",
    "AssetsSeedCompleted",
    "AssetsSeedEnrichComplete",
    "AssetsSeedFastComplete",
    "AssetsSeedStarted",
    "Event",
    "ExecInfo",
    "Executed",
    "ExecutedData",
    "Executing",
    "ExecutingData",
    "ExecutionCached",
    "ExecutionCachedData",
    "ExecutionError",
    "ExecutionErrorData",
    "ExecutionInterrupted",
    "ExecutionInterruptedData",
    "ExecutionStart",
    "ExecutionSuccess",
    "FeatureFlags",
    "LogEntry",
    "LogSize",
    "Logs",
    "LogsData",
    "Misfit",
    "NodeId",
    "NodeProgress",
    "Notification",
    "NotificationData",
    "Number",
    "Progress",
    "ProgressData",
    "ProgressState",
    "ProgressStateData",
    "PromptTime",
    "QueueStatus",
    "SeedEnriched",
    "SeedFast",
    "SeedStarted",
    "SeedTotals",
    "Status",
    "StatusData",
    "TextEvent",
    "Unknown",
]

NodeId = str | int
Number = int | float

if TYPE_CHECKING:
    from typing import Optional as Absent
else:

    class Absent:
        """``Absent[int]``: an int, or ``None`` when the field was not sent.

        An explicit null is left to the second look, which keeps the message: ``encode`` has to
        tell it from a field that is not there.
        """

        def __class_getitem__(cls, kind):
            return kind


# --- data ------------------------------------------------------------------------------------


class Data(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What all payloads share. More fields than these are left to the second look as well."""


class ExecInfo(Data, frozen=True):
    queue_remaining: Absent[int] = None
    """Prompts pending and running."""


class QueueStatus(Data, frozen=True):
    exec_info: Absent[ExecInfo] = None


class StatusData(Data, frozen=True):
    status: Absent[QueueStatus] = None
    sid: Absent[str] = None
    """The client id of the connection; only in its first frame."""


class PromptTime(Data, frozen=True):
    """A moment of a prompt."""

    prompt_id: Absent[str] = None
    timestamp: Absent[int] = None
    """Unix time in milliseconds, since 0.0.3."""


class ExecutionCachedData(Data, frozen=True):
    nodes: Absent[list[NodeId]] = None
    """Nodes whose result exists already; may be empty."""
    prompt_id: Absent[str] = None
    timestamp: Absent[int] = None


class ExecutingData(Data, frozen=True):
    """``node`` is ``None`` in the last frame of a prompt, and alone in the frame on a reconnect."""

    node: NodeId | None
    display_node: Absent[NodeId] = None
    prompt_id: Absent[str] = None


class ProgressData(Data, frozen=True):
    value: Absent[Number] = None
    max: Absent[Number] = None
    prompt_id: Absent[str] = None
    node: Absent[NodeId] = None


def _null() -> None:
    """A default that is written all the same: the server always sends these fields."""


def _not_sent() -> Any:
    return NOT_SENT


class NodeProgress(Data, frozen=True, forbid_unknown_fields=False):
    """One entry of ``progress_state`` (protocol.md section 2.1)."""

    value: Absent[Number] = None
    max: Absent[Number] = None
    state: Absent[str] = None
    """``running`` or ``finished``; the server's code also names ``pending`` and ``error``."""
    node_id: Absent[NodeId] = None
    prompt_id: Absent[str] = None
    display_node_id: NodeId | None = msgspec.field(default_factory=_null)
    parent_node_id: NodeId | None = msgspec.field(default_factory=_null)
    real_node_id: NodeId | None = msgspec.field(default_factory=_null)
    activity: str | None = None
    """What the node is doing ("loading"); from about 0.38."""


@later(nodes=entries(dict, NodeProgress))
class ProgressStateData(ByAttribute, Data, frozen=True):
    prompt_id: Absent[str] = None
    nodes: Seen[dict[str, NodeProgress] | None, msgspec.Raw] = msgspec.field(
        default_factory=_not_sent
    )
    """All nodes touched so far in this prompt, in the order of their first touch."""

    @property
    def misfits(self) -> dict[str, str]:
        """Entries that are left out of ``nodes``: node id -> what does not fit."""
        return misfits_of(self, "nodes")


class ExecutedData(Data, frozen=True, kw_only=True):
    node: Absent[NodeId] = None
    display_node: Absent[NodeId] = None
    output: dict[str, Any] | None
    """What the node shows: any keys, most values lists; ``None`` for a cached one without."""
    prompt_id: Absent[str] = None

    @property
    def files(self) -> list[FileEntry]:
        """The files that the output names."""
        return list(files_in(self.output))


class ExecutionErrorData(Data, frozen=True):
    """protocol.md section 2.2 compares the two kinds, section 14 has Comfy Cloud's."""

    prompt_id: Absent[str] = None
    node_id: Absent[NodeId] = None
    node_type: Absent[str] = None
    executed: Absent[list[NodeId]] = None
    exception_message: Absent[str] = None
    exception_type: Absent[str] = None
    """The class of the exception; on Comfy Cloud a category, as ``OOMError``."""
    traceback: Absent[list[str]] = None
    current_inputs: Absent[dict[str, Any] | list[Any]] = None
    """Input name -> values; an empty list when no node was running."""
    current_outputs: Absent[dict[str, Any] | list[Any]] = None
    """All node ids of the prompt; printed values by node in 2024-07."""
    timestamp: Absent[int] = None

    @property
    def blocked(self) -> bool:
        """An output was blocked: the prompt goes on and ends with ``execution_success``."""
        return self.exception_type == BLOCKED


class ExecutionInterruptedData(Data, frozen=True):
    prompt_id: Absent[str] = None
    node_id: Absent[NodeId] = None
    node_type: Absent[str] = None
    executed: Absent[list[NodeId]] = None
    timestamp: Absent[int] = None


class LogEntry(Data, frozen=True, forbid_unknown_fields=False):
    t: Absent[str] = None
    """Local time, ISO 8601."""
    m: Absent[str] = None
    """The text, line end and colours included."""


class LogSize(Data, frozen=True):
    cols: Absent[int] = None
    rows: Absent[int] = None


@later(entries=entries(list, LogEntry))
class LogsData(ByAttribute, Data, frozen=True, kw_only=True):
    entries: Seen[list[LogEntry] | None, msgspec.Raw] = msgspec.field(default_factory=_not_sent)
    size: LogSize | None
    """The server's terminal; ``None`` when it has not changed."""

    @property
    def misfits(self) -> dict[str, str]:
        """Entries that are left out of ``entries``: their number -> what does not fit."""
        return misfits_of(self, "entries")


class SeedStarted(Data, frozen=True):
    roots: Absent[list[str]] = None
    total: Absent[int] = None
    phase: Absent[str] = None


class SeedFast(Data, frozen=True):
    roots: Absent[list[str]] = None
    created: Absent[int] = None
    skipped: Absent[int] = None
    total: Absent[int] = None


class SeedEnriched(Data, frozen=True):
    roots: Absent[list[str]] = None
    enriched: Absent[int] = None


class SeedTotals(Data, frozen=True):
    phase: Absent[str] = None
    total: Absent[int] = None
    created: Absent[int] = None
    enriched: Absent[int] = None
    skipped: Absent[int] = None
    elapsed: Absent[Number] = None
    """Seconds."""


class NotificationData(Data, frozen=True):
    value: Absent[str] = None
    """What to show to the user, as "Executing workflow..."."""
    id: Absent[str] = None


# --- events ----------------------------------------------------------------------------------


class Event(ByAttribute, msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What all events share, those of binary frames too."""

    kept: Seen[str | bytes | None, NOT_ON_THE_WIRE] = msgspec.field(default=None, name="(kept)")
    """The message itself, where the fields do not hold all of it."""

    def __hash__(self) -> int:
        # The rest of an event may hold lists and mappings.
        return hash((self.type, self.prompt_id))

    @property
    def type(self) -> str:
        """The name of the event on the wire."""
        return str(self.__struct_config__.tag)

    @property
    def prompt_id(self) -> str | None:
        """The prompt that the event names; ``None`` if it names none."""
        return None


class TextEvent(Event, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """What all events of text messages share."""

    if TYPE_CHECKING:

        @property
        def data(self) -> Any: ...

    @property
    def raw(self) -> str:
        """The message that the event came from, with all that the schema does not know.

        It was kept where the fields do not hold all of it. Otherwise it is written from them as a
        server writes it: the same JSON, and the same bytes unless the sender's style is another.
        """
        return text_of(self.kept) if self.kept is not None else self.written()

    @property
    def prompt_id(self) -> str | None:
        return getattr(self.data, "prompt_id", None)

    @property
    def extra(self) -> dict[str, Any]:
        """Members of ``data`` that the schema does not know: name -> value, as they were sent.

        Since 0.40.0 the ``workflow_metadata`` of a prompt is among them, in every message that
        names the prompt: ``workflow_id`` where a client chose nothing else.
        """
        if self.kept is None or not isinstance(self.data, Data):
            return {}
        known = self.data.__struct_encode_fields__
        sent = read_json(self.kept)["data"]
        return {name: value for name, value in sent.items() if name not in known}

    def written(self) -> str:
        """Write the message anew, from the fields."""
        data = written(self.data) if isinstance(self.data, Data) else comfy_json(self.data)
        return f'{{"type": {comfy_json(self.type)}, "data": {data}}}'


class Status(TextEvent, frozen=True, tag="status"):
    """The queue changed, or the connection was accepted (then with a ``sid``)."""

    data: StatusData
    outer_sid: Absent[str] = msgspec.field(default=None, name="sid")
    """Beside ``data``, where some documents have it; no server seen so far puts it there."""

    @property
    def sid(self) -> str | None:
        """The client id of the connection, wherever it is."""
        return self.data.sid if self.data.sid is not None else self.outer_sid

    @property
    def queue_remaining(self) -> int | None:
        """Prompts pending and running; ``None`` if the frame does not say."""
        status = self.data.status
        info = status.exec_info if status is not None else None
        return info.queue_remaining if info is not None else None

    def written(self) -> str:
        message = super().written()
        sid = self.outer_sid
        return message if sid is None else f'{message[:-1]}, "sid": {comfy_json(sid)}}}'


class FeatureFlags(TextEvent, frozen=True, tag="feature_flags"):
    """What the server can do; the answer to the client's first message. Since 0.3.45."""

    data: dict[str, Any]


class ExecutionStart(TextEvent, frozen=True, tag="execution_start"):
    """A prompt begins."""

    data: PromptTime


class ExecutionCached(TextEvent, frozen=True, tag="execution_cached"):
    """Which results exist already; always follows the start."""

    data: ExecutionCachedData


class Executing(TextEvent, frozen=True, tag="executing"):
    """A node begins; with ``node=None`` the prompt has left the executor."""

    data: ExecutingData


class ProgressState(TextEvent, frozen=True, tag="progress_state"):
    """All nodes touched so far: at a node's start, its end, and each progress. Since 0.3.45."""

    data: ProgressStateData


class Progress(TextEvent, frozen=True, tag="progress"):
    """A node moved its progress bar."""

    data: ProgressData


class Executed(TextEvent, frozen=True, tag="executed"):
    """A node that shows something has finished, or its output was found in the cache."""

    data: ExecutedData


class ExecutionSuccess(TextEvent, frozen=True, tag="execution_success"):
    """All outputs are done. Since 0.0.3."""

    data: PromptTime


class ExecutionError(TextEvent, frozen=True, tag="execution_error"):
    """A node failed, or (``data.blocked``, not the end of the prompt) an output was blocked."""

    data: ExecutionErrorData


class ExecutionInterrupted(TextEvent, frozen=True, tag="execution_interrupted"):
    """An interrupt was noticed."""

    data: ExecutionInterruptedData


class Logs(TextEvent, frozen=True, tag="logs"):
    """Console output, for sockets that subscribed to it. Since 0.3.0."""

    data: LogsData


class AssetsSeedStarted(TextEvent, frozen=True, tag="assets.seed.started"):
    """A scan of the asset folders begins. Since 0.17.0."""

    data: SeedStarted


class AssetsSeedFastComplete(TextEvent, frozen=True, tag="assets.seed.fast_complete"):
    """Its first phase is done."""

    data: SeedFast


class AssetsSeedEnrichComplete(TextEvent, frozen=True, tag="assets.seed.enrich_complete"):
    """Its second phase is done."""

    data: SeedEnriched


class AssetsSeedCompleted(TextEvent, frozen=True, tag="assets.seed.completed"):
    """The scan has ended."""

    data: SeedTotals


class Notification(TextEvent, frozen=True, tag="notification"):
    """A sentence for the user, from Comfy Cloud (protocol.md section 14)."""

    data: NotificationData


KNOWN: Final[dict[str, type[TextEvent]]] = {
    str(event.__struct_config__.tag): event for event in TextEvent.__subclasses__()
}
"""Every event type of the schema: its name on the wire -> its class."""


class FreeEvent(TextEvent, frozen=True):
    """What Unknown and Misfit share: ``data`` is whatever was sent, read on first access."""

    @property
    def prompt_id(self) -> str | None:
        prompt_id = self.data.get("prompt_id") if isinstance(self.data, dict) else None
        return prompt_id if isinstance(prompt_id, str) else None

    def written(self) -> str:
        name, data = comfy_json(self.type), written_field(self, "data")
        return f'{{"type": {name}, "data": {data}}}' if data else f'{{"type": {name}}}'


@later(data=anything)
class Unknown(
    FreeEvent,
    frozen=True,
    kw_only=False,
    tag=False,
    tag_field=None,
    forbid_unknown_fields=False,
):
    """A message of a type that is not in the schema: an extension's, or a newer server's.

    Types that come again get a class of their own below this one: ask with ``isinstance``.
    """

    type: str
    data: Seen[Any, msgspec.Raw] = NOT_SENT

    def __reduce__(self) -> tuple[Any, ...]:
        return (_unknown, (self.type, self.data, self.kept))

    def _family(self) -> Any:
        return Unknown


def _unknown(type: str, data: Any, kept: str | bytes | None) -> Unknown:
    return Unknown(type, data, kept=kept)


@later(data=anything)
class Misfit(FreeEvent, frozen=True, kw_only=False, tag=False, tag_field=None):
    """A message of a known type without ``data``, or with a value of the wrong kind in it.

    ``why`` says which, and where. A field that is missing is none: it reads as ``None``.
    """

    type: str
    why: str
    data: Seen[Any, msgspec.Raw] = NOT_SENT
