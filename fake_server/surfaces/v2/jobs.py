"""One job: its state, how far it is, what came of it, and how it is shown.

``HEARD`` is the one table of what a native message means for a job.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec import events
from comfyrec.client.node_progress import NodeProgress
from comfyrec.events import v2
from comfyrec.events.endings import history_ending
from fake_server.surfaces.v2.answers import iso
from fake_server.surfaces.v2.assets import Asset

__all__ = ["HEARD", "Ended", "JobRecord", "Made", "Moved", "News", "Queue", "Seen", "ended_by"]


class Moved(msgspec.Struct, frozen=True):
    """The job's state, or its progress, may have changed."""


class Seen(msgspec.Struct, frozen=True):
    """There is a picture of the work in progress."""


class Made(msgspec.Struct, frozen=True):
    """A node has shown something."""

    node_id: str
    output: Mapping[str, Any]


class Ended(msgspec.Struct, frozen=True):
    """The job is over."""

    state: str
    error: v2.JobError | None = None


class Queue(msgspec.Struct, frozen=True):
    """The queue has changed, which says nothing of this job alone."""


News = Moved | Seen | Made | Ended | Queue


class JobRecord(msgspec.Struct, eq=False, kw_only=True):
    """A job, as far as is known."""

    id: str
    workflow: Mapping[str, Any]
    created: int
    """Unix time in microseconds, as all times here."""
    retention: int
    nodes: NodeProgress
    metadata: dict[str, str] = {}
    state: str = "queued"
    started: int | None = None
    ended: int | None = None
    position: int | None = None
    outputs: list[Asset] = []
    known: set[Any] = set()
    """What its outputs were made from, so that none comes twice."""
    error: v2.JobError | None = None
    preview: v2.Preview | None = None
    inputs: set[str] = set()
    """Ids of the assets in its workflow."""
    todo: deque[Made | Ended | None] = msgspec.field(default_factory=deque)
    """What is still to be looked at, in order; None: how it stands at all."""
    looked_at: bool = False

    @property
    def is_over(self) -> bool:
        """Whether its state is a last one."""
        return self.state in v2.TERMINAL

    @property
    def progress(self) -> v2.Progress | None:
        """How far it is; None until it has begun."""
        if self.started is None:
            return None
        info = self.nodes.info
        node = info.node_current if self.state in ("running", "canceling") else None
        name = self._class_of(node)
        step, steps = _count(info.node_progress_value), _count(info.node_progress_max)
        has_steps = node is not None and steps is not None and steps > 0
        return v2.Progress(
            value=info.nodes_progress,
            nodes_done=len(info.nodes_done),
            nodes_total=info.nodes_total,
            current_node=node,
            current_node_class=name,
            step=step if has_steps else None,
            steps=steps if has_steps else None,
            message=f"{name} {step}/{steps}" if has_steps else name,
        )

    def _class_of(self, node_id: str | None) -> str | None:
        node = self.workflow.get(node_id) if node_id is not None else None
        name = node.get("class_type") if isinstance(node, dict) else None
        return name if isinstance(name, str) else None

    def logs(self) -> v2.JobLogs | msgspec.UnsetType:
        """What its run has printed, in the words of ComfyUI's console; not before its end."""
        if not self.is_over or self.started is None or self.ended is None:
            return msgspec.UNSET
        seconds = (self.ended - self.started) / 1_000_000
        lines = ["got prompt"]
        if self.error is not None:
            lines.append(f"!!! Exception during processing !!! {self.error.message.rstrip()}")
            lines += ["Traceback (most recent call last):"] if self.error.traceback else []
            lines += (self.error.traceback or "").splitlines()
        lines.append(f"Prompt executed in {seconds:.2f} seconds")
        text = "".join(f"{line}\n" for line in lines)
        return v2.JobLogs(text=text, truncated=False, captured_at=iso(self.ended))

    def begin(self, now: int) -> None:
        """It runs."""
        if self.started is None:
            self.started = now
        if self.state == "queued":
            self.state = "running"
        self.position = None

    def end(self, ended: Ended, now: int) -> None:
        """It is over."""
        self.state, self.error, self.ended = ended.state, ended.error, now
        self.position = None
        if ended.state == "succeeded":
            self.begin(now)
            self.nodes.succeeded()

    def show(self, url: Callable[[Asset], str], links: Mapping[str, str], now: int) -> v2.Job:
        """The job object."""
        started, ended = self.started, self.ended
        waited = next(one for one in (started, ended, now) if one is not None)
        return v2.Job(
            id=self.id,
            status=self.state,
            created_at=iso(self.created),
            started_at=None if started is None else iso(started),
            completed_at=None if ended is None else iso(ended),
            expires_at=iso(self.created + self.retention),
            queue_position=self.position,
            progress=self.progress,
            outputs=[one.as_output(url(one), now) for one in self.outputs],
            error=self.error,
            urls=v2.JobUrls(**links),
            metrics={
                "queue_ms": (waited - self.created) // 1000,
                "execution_ms": None
                if started is None
                else ((now if ended is None else ended) - started) // 1000,
            },
            metadata=self.metadata,
        )


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and math.isfinite(value) else None


# --- native messages -> what they mean for a job -------------------------------------------------


def _started(job: JobRecord, _: events.ExecutionStart, now: int) -> News:
    job.begin(now)
    return Moved()


def _cached(job: JobRecord, event: events.ExecutionCached, now: int) -> News:
    job.begin(now)
    job.nodes.cached(map(str, event.data.nodes or ()))
    return Moved()


def _executing(job: JobRecord, event: events.Executing, now: int) -> News:
    job.begin(now)
    if event.data.node is None:
        job.nodes.last_one_ran()
    else:
        job.nodes.runs(str(event.data.node))
    return Moved()


def _stepped(job: JobRecord, event: events.Progress, now: int) -> News:
    job.begin(now)
    if event.data.node is not None and str(event.data.node) != job.nodes.info.node_current:
        job.nodes.runs(str(event.data.node))
    job.nodes.step(event.data.value, event.data.max)
    return Moved()


def _states(job: JobRecord, event: events.ProgressState, now: int) -> News:
    job.begin(now)
    for node_id, node in (event.data.nodes or {}).items():
        if node.state == "finished" and str(node_id) not in job.nodes.info.nodes_done:
            job.nodes.ran(str(node_id))
    return Moved()


def _executed(job: JobRecord, event: events.Executed, now: int) -> News:
    job.nodes.ran(str(event.data.node))
    return Made(str(event.data.node), event.data.output or {})


def _succeeded(job: JobRecord, _: events.ExecutionSuccess, now: int) -> News:
    return Ended("succeeded")


def _failed(job: JobRecord, event: events.ExecutionError, now: int) -> News:
    return Ended("failed", error_of(msgspec.to_builtins(event.data)))


def _interrupted(job: JobRecord, _: events.ExecutionInterrupted, now: int) -> News:
    return Ended("canceled")


def _previewed(
    job: JobRecord, event: events.Preview | events.PreviewWithMetadata, now: int
) -> News:
    node: Any = job.nodes.info.node_current
    if isinstance(event, events.PreviewWithMetadata):
        node, kind = event.metadata.node_id, event.metadata.image_type
    else:
        kind = event.image_type
    job.preview = v2.Preview(
        node_id=str(node if node is not None else ""),
        content_type=kind or "image/jpeg",
        data_base64=base64.b64encode(event.image).decode(),
    )
    return Seen()


def _queue(job: JobRecord, _: events.Status, now: int) -> News:
    return Queue()


HEARD: Final[Mapping[type, Callable[[JobRecord, Any, int], News]]] = {
    # native message             -> v2 event
    events.Status: _queue,  # status, with the place in the queue
    events.ExecutionStart: _started,  # status: running
    events.ExecutionCached: _cached,  # progress
    events.Executing: _executing,  # progress
    events.Progress: _stepped,  # progress
    events.ProgressState: _states,  # progress
    events.Preview: _previewed,  # preview
    events.PreviewWithMetadata: _previewed,  # preview
    events.Executed: _executed,  # output, one for each file and text
    events.ExecutionSuccess: _succeeded,  # status: succeeded
    events.ExecutionError: _failed,  # status: failed
    events.ExecutionInterrupted: _interrupted,  # status: canceled
}
"""What each native message means. Of the others v2 says nothing."""


# --- a history entry -> how a job has ended ------------------------------------------------------


def error_of(data: Mapping[str, Any]) -> v2.JobError:
    """What ``execution_error`` says, as v2 says it."""
    lines = data.get("traceback")
    return v2.JobError(
        code="node_execution_error",
        message=str(data.get("exception_message") or "the execution failed").strip(),
        node_id=_text(data.get("node_id")),
        class_type=_text(data.get("node_type")),
        traceback="".join(map(str, lines)) if isinstance(lines, list) and lines else None,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def ended_by(entry: Mapping[str, Any]) -> Ended:
    """How the job of a history entry ended. Entries of old servers have no status."""
    status = entry.get("status")
    status = status if isinstance(status, dict) else {}
    messages: dict[Any, Any] = {}
    for row in status.get("messages") or ():
        if isinstance(row, list) and len(row) == 2:
            messages[row[0]] = row[1]
    ending = history_ending(entry)
    if ending == "interrupted":
        return Ended("canceled")
    if ending in (None, "success"):
        return Ended("succeeded")
    found = messages.get("execution_error")
    return Ended("failed", error_of(found if isinstance(found, dict) else {}))
