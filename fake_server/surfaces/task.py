"""One task of the task interface: its state, its end, and how a query shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from comfyrec.client import outputs
from comfyrec.client.http import requests
from comfyrec.client.http.exchange import with_query
from comfyrec.events.endings import history_ending

__all__ = ["Task"]


class Task(msgspec.Struct):
    """A task's state. ``status`` is as of the last look at its worker."""

    task_id: str
    worker: int
    asked: dict[str, Any]
    """The body of ``/task_create`` without the key."""
    created: int
    """Virtual microseconds."""
    status: str = "waiting"
    prompt_id: str = ""
    msg: str = ""
    files: tuple[outputs.OutputFile, ...] = ()
    position: int | None = None
    latency_s: float | None = None
    deadline: int | None = None
    timed_out: bool = False
    stopped: bool = False
    """Whether it was canceled, or timed out, before its prompt had ended."""

    @property
    def over(self) -> bool:
        """Whether the status is a last one."""
        return self.status in ("finished", "failed", "canceled")

    def conclude(self, entry: Mapping[str, Any] | None) -> None:
        """Bring a task to its end, as its history entry says; None: it has none."""
        self.position = None
        if entry is None:
            self.status = "canceled"
            return
        found, said = entry.get("status"), entry.get("outputs")
        status = found if isinstance(found, dict) else {}
        messages = dict(row for row in status.get("messages", []) if len(row) == 2)
        ending = history_ending(entry)
        if self.stopped and ending == "success":
            # Its last node was at work, and the server interrupts between nodes only.
            self.status = "canceled"
        elif ending == "success":
            self.status = "finished"
            self.files = outputs.to_save(said if isinstance(said, dict) else {})
            self.latency_s = _between(messages, "execution_start", "execution_success")
        elif ending == "interrupted":
            self.status = "canceled"
        else:
            self.status = "failed"
            error = messages.get("execution_error") or {}
            self.msg = str(error.get("exception_message") or "the workflow failed").strip()

    def state(self, *, miner: str, origin: str) -> dict[str, Any]:
        """The answer to a query; what is not known yet is absent."""
        state: dict[str, Any] = {
            "task_id": self.task_id,
            "status": self.status,
            "task_type": self.asked.get("task_type"),
            "workflow_id": self.asked.get("workflow_id"),
            "timeout_seconds": self.asked.get("timeout_seconds"),
            "task_details": self.asked.get("task_details"),
            "job_id": self.asked.get("job_id"),
            "create_timestamp": self.created // 1_000_000,
            "miner_id": miner,
            "queue_position": self.position,
            "inference_latency": self.latency_s,
            "upload_latency": 0.0 if self.status == "finished" else None,
            "msg": self.msg or None,
        }
        if self.status == "finished":
            urls = [_url(origin, file) for file in self.files]
            state["result"] = urls[0] if len(urls) == 1 else urls
        return {key: value for key, value in state.items() if value is not None}


def _between(messages: Mapping[str, Any], start: str, end: str) -> float | None:
    times = [messages.get(name, {}).get("timestamp") for name in (start, end)]
    if not all(isinstance(time, int) for time in times):
        return None
    return float(times[1] - times[0]) / 1000


def _url(origin: str, file: outputs.OutputFile) -> str:
    query = requests.view(file).query
    return with_query(f"{origin}/view", query)
