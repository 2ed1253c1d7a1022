"""Jobs: whose they are, how they stand, and how Comfy Cloud tells it.

The server behind knows what became of a prompt; here is what it does not know. Where its history
is late, or it has forgotten a prompt, what the frames said counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.endings import history_ending, prompt_ending
from comfyrec.versions import era_of
from fake_server.http import job_view
from fake_server.surfaces.cloud.answers import iso_time, milliseconds
from fake_server.surfaces.cloud.frames import category_of
from fake_server.surfaces.cloud.settings import CloudSettings

__all__ = [
    "CloudJob",
    "Jobs",
    "Known",
    "detail_of",
    "entry_of",
    "listed_of",
    "queue_item",
    "status_of",
]

End = Literal["success", "error", "cancelled", "lost"]

JOBS_MAX: Final = 10_000
"""As many as a server's history keeps."""
_ENDS: Final[Mapping[str, End]] = {
    "success": "success",
    "error": "error",
    "interrupted": "cancelled",
}
_PAGES: Final = {"new": "submitted", "waiting": "queued_waiting", "starting": "preparing",
                 "running": "executing", "stopping": "cancel_requested"}  # fmt: skip
_SPECIFICATION: Final = {"new": "waiting_to_dispatch", "waiting": "pending",
                         "starting": "in_progress", "running": "in_progress",
                         "stopping": "in_progress", "success": "completed"}  # fmt: skip
_OTHERS: Final = {"new": "created", "waiting": "waiting_for_capacity", "starting": "allocated",
                  "running": "uploading_outputs", "stopping": "stopping"}  # fmt: skip
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "pages": _PAGES, "specification": _SPECIFICATION, "others": _OTHERS,
}  # fmt: skip
"""``words`` of the settings -> how a job stands -> the word for it; the others are their own."""
_NEW_US: Final = 100_000
"""So long after it came a job that waits is only ``submitted``."""
_STATES: Final = {"success": "completed", "error": "failed", "cancelled": "cancelled",
                  "lost": "failed"}  # fmt: skip
_ERROR_FIELDS: Final = ("node_id", "node_type", "exception_message", "exception_type", "traceback",
                        "current_inputs", "current_outputs")  # fmt: skip


class CloudJob(msgspec.Struct, eq=False):
    """One job. Times are Unix time in microseconds."""

    id: str
    user: int
    created: int
    updated: int
    started: bool = False
    """Its ``execution_start`` was sent."""
    at_work: bool = False
    """A node of it has begun."""
    stopping: bool = False
    end: End | None = None
    """As far as frames told, or something was done to it."""
    error: Mapping[str, Any] | None = None
    """The data of its ``execution_error``."""


class Known(msgspec.Struct, frozen=True):
    """What the server behind says of one job: an entry of its history, or a row of its queue."""

    entry: Mapping[str, Any] | None = None
    row: Sequence[Any] | None = None
    running: bool = False

    def end_of(self, job: CloudJob) -> End | None:
        """How it ended; None while it goes on."""
        if self.entry is not None:
            return _end_in(self.entry)
        if self.row is not None:
            return None
        return job.end or ("cancelled" if job.stopping else "lost")


class Jobs:
    """All jobs, in the order they came."""

    def __init__(self) -> None:
        self._jobs: dict[str, CloudJob] = {}
        self._hidden: dict[str, None] = {}

    def __iter__(self) -> Iterator[CloudJob]:
        return iter([*self._jobs.values()])

    def add(self, job: CloudJob) -> None:
        """A job has come."""
        self._jobs[job.id] = job
        while len(self._jobs) > JOBS_MAX:
            del self._jobs[next(iter(self._jobs))]

    def hide(self, id: str) -> None:
        """The server behind accepted a prompt in part, which was refused here."""
        self._hidden[id] = None
        while len(self._hidden) > JOBS_MAX:
            del self._hidden[next(iter(self._hidden))]

    def is_hidden(self, id: str | None) -> bool:
        """Whether it was refused here."""
        return id in self._hidden

    def get(self, id: str) -> CloudJob | None:
        """The job of that id."""
        return self._jobs.get(id)

    def forget(self, id: str) -> None:
        """There is no such job any more."""
        self._jobs.pop(id, None)

    def of(self, user: int) -> list[CloudJob]:
        """The jobs of a user."""
        return [job for job in self._jobs.values() if job.user == user]

    def open(self, user: int) -> list[CloudJob]:
        """Those that have not ended, as far as frames told."""
        return [job for job in self.of(user) if job.end is None]

    def heard(self, name: str, data: Mapping[str, Any], now: int) -> None:
        """Take what a frame says of a job."""
        job = self._jobs.get(str(data.get("prompt_id")))
        if job is None:
            return
        job.updated = now
        if name == "executing" and data.get("node") is not None:
            job.at_work = True
        ending = prompt_ending(name, lambda: data)
        if ending is not None and job.end is None:
            job.end = _ENDS[ending]
            job.error = data if job.end == "error" else None


def _end_in(entry: Mapping[str, Any]) -> End:
    return _ENDS[history_ending(entry) or "success"]


# --- one job's status ----------------------------------------------------------------------------


def status_of(job: CloudJob, known: Known, settings: CloudSettings, now: int) -> dict[str, Any]:
    """The body of ``GET /api/job/{id}/status``."""
    end = known.end_of(job)
    words = WORDS[settings.words]
    told = end or _standing(job, known, now)
    word = words.get(told, told)
    if end == "error" and settings.words != "specification":
        word = settings.failed_as
    if end == "lost" and settings.words == "specification":
        word = "error"
    return {
        "id": job.id,
        "status": word,
        "created_at": iso_time(job.created),
        "updated_at": iso_time(job.updated),
        "last_state_update": iso_time(job.updated),
        "assigned_inference": "inference-1" if known.running else None,
        "error_message": _error_message(job, known) if end == "error" else None,
    }


def _standing(job: CloudJob, known: Known, now: int) -> str:
    if job.stopping:
        return "stopping"
    if known.running or job.started:
        return "running" if job.at_work else "starting"
    return "new" if now - job.created < _NEW_US else "waiting"


def _error_message(job: CloudJob, known: Known) -> str:
    error = _error_in(known.entry or {}) or job.error or {}
    return str(error.get("exception_message", "the job failed"))


def _error_in(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    status = entry.get("status") or {}
    found = [data for kind, data in status.get("messages", ()) if kind == "execution_error"]
    return found[-1] if found else None


# --- jobs, history and queue ---------------------------------------------------------------------


def detail_of(job: CloudJob, known: Known) -> dict[str, Any]:
    """The body of ``GET /api/jobs/{id}``."""
    found = listed_of(job, known, alone=True)
    found["update_time"] = milliseconds(job.updated)
    if known.entry is not None:
        found["execution_meta"] = known.entry.get("meta") or {}
    if "execution_error" in found:
        # Not in the specification; comfy-cli 1.23 reads the reason here, as JSON in a text.
        found["error_message"] = comfy_json(found["execution_error"])
    return found


def listed_of(job: CloudJob, known: Known, *, alone: bool = False) -> dict[str, Any]:
    """An entry of ``GET /api/jobs``."""
    end = known.end_of(job)
    found = _native(job, known, alone=alone)
    error = found.pop("execution_error", None) or job.error
    found |= {
        "id": job.id,
        "status": _STATES[end] if end else _in_flight(job, known),
        "create_time": milliseconds(job.created),
    }
    if end is None:
        found.pop("outputs_count", None)
    if end == "error" and error is not None:
        found["execution_error"] = _error_object(error)
    return found


def _in_flight(job: CloudJob, known: Known) -> str:
    return "in_progress" if known.running or job.started else "pending"


def _native(job: CloudJob, known: Known, *, alone: bool) -> dict[str, Any]:
    era = era_of()
    try:
        if known.entry is not None:
            found = job_view.from_history(job.id, known.entry, era, alone=alone)
        elif known.row is not None:
            found = job_view.from_queue(known.row, "pending", era, alone=alone)
        else:
            found = {}
    except (AttributeError, TypeError, KeyError, ValueError):
        found = {}  # an extra_pnginfo, or an entry, of another shape than a server's
    for name in ("priority", "previewable_outputs_count"):
        found.pop(name, None)
    return found


def _error_object(error: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: error.get(name) for name in _ERROR_FIELDS}
    for name in ("current_inputs", "current_outputs"):
        told[name] = told[name] if isinstance(told[name], dict) else {}
    told["traceback"] = told["traceback"] or []
    told["node_id"], told["node_type"] = str(told["node_id"]), str(told["node_type"])
    told["exception_type"] = str(told["exception_type"] or category_of(error))
    return told


def entry_of(job: CloudJob, entry: Mapping[str, Any], *, listed: bool) -> dict[str, Any]:
    """An entry of ``history_v2``: with the prompt as an object; ``listed`` without its nodes."""
    number, _, nodes, extra_data, *rest = [*entry["prompt"], {}, {}, []][:5]
    prompt: dict[str, Any] = {"priority": number, "prompt_id": job.id}
    if listed:
        prompt["extra_data"] = _without_workflow(extra_data)
    else:
        prompt |= {"prompt": nodes, "extra_data": extra_data, "outputs_to_execute": rest[0]}
    found = {
        "prompt": prompt,
        "outputs": entry.get("outputs") or {},
        "status": entry.get("status") or {},
        "meta": entry.get("meta") or {},
    }
    if not listed:
        return found
    head: dict[str, Any] = {"prompt_id": job.id, "create_time": milliseconds(job.created)}
    info = extra_data.get("extra_pnginfo") if isinstance(extra_data, dict) else None
    workflow = info.get("workflow") if isinstance(info, dict) else None
    if isinstance(workflow, dict) and isinstance(workflow.get("id"), str):
        head["workflow_id"] = workflow["id"]
    return head | found


def _without_workflow(extra_data: Any) -> Any:
    info = extra_data.get("extra_pnginfo") if isinstance(extra_data, dict) else None
    if not isinstance(info, dict):
        return extra_data
    rest = {name: value for name, value in info.items() if name != "workflow"}
    return {**extra_data, "extra_pnginfo": rest}


def queue_item(job: CloudJob, row: Sequence[Any], place: int) -> list[Any]:
    """A row of the queue: its place from 1, id, nodes, output nodes, and when it came."""
    nodes = row[2] if len(row) > 2 else {}
    outputs: Iterable[Any] = row[4] if len(row) > 4 else ()
    return [place, job.id, nodes, [*map(str, outputs)], {"create_time": milliseconds(job.created)}]
