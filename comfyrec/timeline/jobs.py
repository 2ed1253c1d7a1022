"""What Comfy API v2 says of a job -> the messages by which ComfyUI would have said the same.

So a job is told as a prompt is, by whoever tells prompts: ``fake_server.surfaces.v2`` turns native
messages into these events, and this module turns them back. The document of the API is
``openapi-v2.yaml`` (2.0.0): a job is asked for, or heard of in server-sent events, and each of them
says how far the whole job is. Progress comes at most twice a second, so that short nodes pass
unnamed, and the times of nodes are those at which the client was told of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.events.v2 import TERMINAL
from comfyrec.http.request import loads_or_none
from comfyrec.timeline.message_summary import peek_at
from comfyrec.timeline.model import Exchange, Message

__all__ = ["JobMessages", "JobPlace", "is_submission", "job_place", "jobs_in", "made_job"]


class JobPlace(NamedTuple):
    """What a path of ``/api/v2/jobs`` is about."""

    job_id: str
    """Empty: all jobs."""
    part: str
    """``events``, ``cancel``, ``workflow``; empty: the job itself."""


_JOBS: Final = re.compile(r"(?:.*/api)?/v2/jobs(?:/([^/]+)(?:/(\w+))?)?/?")


def job_place(path: str) -> JobPlace | None:
    """What a path is about, ``/api`` in front or not, below a prefix or not; None: of no job."""
    found = _JOBS.fullmatch(path) if "/v2/jobs" in path else None
    return None if found is None else JobPlace(found[1] or "", found[2] or "")


def is_submission(exchange: Exchange) -> bool:
    """Whether a request submits a job."""
    return exchange.method == "POST" and job_place(exchange.path) == ("", "")


def made_job(exchange: Exchange) -> dict[str, Any] | None:
    """The job that a request has made; None: it made none."""
    if not is_submission(exchange) or exchange.status not in (200, 201):
        return None
    return next(jobs_in(exchange), None)


def jobs_in(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """The job objects that an answer holds: one, or those of a page of the list."""
    place = job_place(exchange.path)
    if place is None or place.part in ("events", "workflow") or exchange.status not in (200, 201):
        return
    answer = exchange.response_json
    if not isinstance(answer, dict):
        return
    listed = answer.get("jobs")
    for job in listed if isinstance(listed, list) else (answer,):
        if isinstance(job, dict) and all(isinstance(job.get(n), str) for n in ("id", "status")):
            yield job


class JobMessages:
    """Says of one job what is new in what a client was told.

    Args:
        job_id: of the job, which is the prompt's id.
        made: when it was made, in the messages' own time; None: it is not known.
    """

    def __init__(self, job_id: str, made: int | None = None) -> None:
        self._job_id, self._made = job_id, made
        self._started = False
        self._ended = ""
        self._why: Any = None
        self._node: str | None = None
        self._ran: set[str] = set()
        self._step: tuple[Any, Any] = (None, None)
        self._outputs: dict[str, dict[str, list[Any]]] = {}
        self._last = made or 0
        self.removed = False
        """It was canceled before it ran."""

    def snapshot(self, job: Mapping[str, Any], at: int, t: int) -> list[Message]:
        """What is new in a job object that an answer held.

        Args:
            job: the object.
            at: place of the record that completed the answer.
            t: its time, Unix microseconds.
        """
        told: list[Message] = []
        status, progress = job.get("status"), _object(job.get("progress"))
        if status not in ("queued", "canceled") or job.get("started_at"):
            told += self._starts(at, self._then(job, "started_at", t))
        told += self._progress(progress, at, t)
        end = self._then(job, "completed_at", t) if status in TERMINAL else t
        for output in _list(job.get("outputs")):
            told += self._output(_object(output), at, end, begins=False)
        return told + self._status(str(status), job, at, end)

    def event(self, kind: str, data: str, at: int, t: int) -> list[Message]:
        """What is new in a server-sent event.

        Args:
            kind: its type.
            data: its data.
            at: place of the record that completed it.
            t: its time, Unix microseconds.
        """
        said = _object(loads_or_none(data))
        if kind == "status" and "urls" not in said:
            told = self._starts(at, t) if said.get("status") not in ("queued", "canceled") else []
            for output in _list(said.get("outputs")):
                told += self._output(_object(output), at, t, begins=False)
            return told + self._status(str(said.get("status")), said, at, t)
        if kind == "status":
            return self.snapshot(said, at, t)
        if kind == "progress":
            return [*self._starts(at, t), *self._progress(said, at, t)]
        if kind == "output":
            return [*self._starts(at, t), *self._output(said, at, t, begins=True)]
        if kind == "preview":
            return [*self._starts(at, t), *self._preview(said, at, t)]
        return []

    def _then(self, job: Mapping[str, Any], name: str, t: int) -> int:
        """When something was, by the distance of the server's own times; at the latest now."""
        made, then = _instant(job.get("created_at")), _instant(job.get(name))
        if self._made is None or made is None or then is None:
            return t
        return min(max(self._made + then - made, self._last), t)

    def _say(self, kind: str, at: int, t: int, **data: Any) -> Message:
        self._last = max(self._last, t)
        text = msgspec.json.encode({"type": kind, "data": {**data, "prompt_id": self._job_id}})
        return Message(at, t, Side.SERVER, text.decode(), peek_at(text))

    def _starts(self, at: int, t: int) -> list[Message]:
        if self._started:
            return []
        self._started = True
        return [self._say("execution_start", at, t)]

    def _runs(self, node: Any, at: int, t: int) -> list[Message]:
        """A node runs, which is said once for each time that it begins."""
        if not isinstance(node, str) or node == self._node or self._ended:
            return []
        self._node, self._step = node, (None, None)
        self._ran.add(node)
        return [self._say("executing", at, t, node=node)]

    def _progress(self, progress: Mapping[str, Any], at: int, t: int) -> list[Message]:
        told = self._runs(progress.get("current_node"), at, t)
        step = progress.get("step"), progress.get("steps")
        if self._node is not None and step[0] is not None and step != self._step:
            self._step = step
            told.append(self._say("progress", at, t, node=self._node, value=step[0], max=step[1]))
        return told

    def _preview(self, preview: Mapping[str, Any], at: int, t: int) -> list[Message]:
        node = preview.get("node_id")
        told = self._runs(node, at, t) if node not in self._ran else []
        metadata = msgspec.json.encode({"node_id": node, "prompt_id": self._job_id})
        head = (4).to_bytes(4, "big") + len(metadata).to_bytes(4, "big")
        return [*told, Message(at, t, Side.SERVER, head + metadata)]

    def _output(self, output: Mapping[str, Any], at: int, t: int, *, begins: bool) -> list[Message]:
        node = output.get("node_id")
        if not isinstance(node, str):
            return []
        text = output.get("type") == "text" and not output.get("name")
        kind = "text" if text else _NATIVE.get(str(output.get("type")), "files")
        entry = (
            str(output.get("text", ""))
            if text
            else {"filename": str(output.get("name", "")), "subfolder": "", "type": "output"}
        )
        own = self._outputs.setdefault(node, {}).setdefault(kind, [])
        if entry in own:
            return []
        own.append(entry)
        told = self._runs(node, at, t) if begins and node not in self._ran else []
        return [*told, self._say("executed", at, t, node=node, output=self._outputs[node])]

    def _status(self, status: str, job: Mapping[str, Any], at: int, t: int) -> list[Message]:
        why = job.get("error") if status == "failed" else None
        if status not in TERMINAL or (self._ended and why in (None, self._why)):
            return []
        self._ended, self._why = status, why
        if status == "succeeded":
            return [self._say("execution_success", at, t)]
        if status == "failed":
            return [self._say("execution_error", at, t, **_failure(_object(why)))]
        if status == "canceled" and self._started:
            return [self._say("execution_interrupted", at, t)]
        self.removed = status == "canceled"
        return []


_NATIVE: Final = {"image": "images", "video": "video", "audio": "audio", "latent": "latents"}


def _failure(error: Mapping[str, Any]) -> dict[str, Any]:
    trace = error.get("traceback")
    return {
        "node_id": error.get("node_id") or "",
        "node_type": error.get("class_type") or "",
        "exception_type": error.get("code") or "",
        "exception_message": error.get("message") or "",
        "traceback": trace.splitlines(keepends=True) if isinstance(trace, str) else [],
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _instant(value: Any) -> int | None:
    """A time of the document (RFC 3339) as microseconds."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if found.tzinfo is None else round(found.timestamp() * 1e6)
