"""The task interface from its client's side: bodies, answers, and how long to wait.

All routes are POST with JSON; the key goes in the body. A talk yields an
``HttpRequest`` or a ``Pause`` and is sent the ``HttpResponse`` or ``None``.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from comfyrec.client.http.exchange import HttpRequest, HttpResponse, reason_of
from comfyrec.errors import TaskError, TaskFailed, TaskTimedOut, UsageError

__all__ = [
    "STATUSES",
    "FluxLoraTask",
    "Key",
    "Pause",
    "Task",
    "Text2VideoTask",
    "UpscalerTask",
    "cancel",
    "create",
    "query",
    "resource",
    "wait",
]

STATUSES = ("waiting", "running", "finished", "failed", "canceled")
_OVER = frozenset(STATUSES[2:])

INTERVAL_S_MIN = 1.0


class Key(msgspec.Struct, frozen=True):
    """``consumer#key``, or ``consumer-key`` where the first dash parts them."""

    consumer_id: str
    api_key: str

    @classmethod
    def parse(cls, text: str, *, where: str = "api_key") -> Key:
        """Read a key.

        Raises:
            UsageError: no consumer or no key in it. The text itself is never repeated.
        """
        mark = "#" if "#" in text else "-"
        consumer, _, key = text.strip().partition(mark)
        if not consumer or not key:
            raise UsageError(f"{where}: a key reads CONSUMER#KEY, and neither part may be empty")
        return cls(consumer, key)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be computed. A new kind is a subclass with its fields and its ``task_type``.

    Fields of the subclass that are not ``None`` become ``task_details.parameters``, under the
    name that ``parameter_names`` gives them if it does.

    Raises:
        TypeError: a required option is missing.
        ValueError: a required text is empty.
    """

    task_type: ClassVar[str] = ""
    parameter_names: ClassVar[Mapping[str, str]] = {}

    consumer_id: str | None = None
    job_id_prefix: str | None = None
    timeout_seconds: int | None = None
    """The server cancels the task after this long; 0 counts as not given."""
    workflow_id: str | None = None
    api_key: str | None = None
    """``CONSUMER#KEY`` for this task instead of the client's."""

    def __post_init__(self) -> None:
        if not self.task_type:
            raise TypeError(f"{type(self).__name__} names no task_type")
        for field in msgspec.structs.fields(self):
            if field.required and getattr(self, field.name) in (None, ""):
                raise ValueError(f"{type(self).__name__}: {field.name} is required")

    def parameters(self) -> dict[str, Any]:
        """What goes into ``task_details.parameters``; options that are not set are left out."""
        common = {field.name for field in msgspec.structs.fields(Task)}
        values = {
            field.name: getattr(self, field.name)
            for field in msgspec.structs.fields(self)
            if field.name not in common
        }
        return {
            self.parameter_names.get(name, name): value
            for name, value in values.items()
            if value is not None
        }


class UpscalerTask(Task, frozen=True, kw_only=True):
    """An image made larger."""

    task_type = "upscaler"
    parameter_names = {"image_url": "image"}

    image_url: str


class FluxLoraTask(Task, frozen=True, kw_only=True):
    """A picture from a text, with a LoRA."""

    task_type = "txt2img"

    prompt: str
    lora_name: str
    aspect_ratio: str | None = None
    width: int | None = None
    height: int | None = None
    guidance: float | None = None
    steps: int | None = None
    noise_seed: int | None = None


class Text2VideoTask(Task, frozen=True, kw_only=True):
    """A film from a text."""

    task_type = "txt2vid"

    prompt: str
    width: int | None = None
    height: int | None = None
    length: int | None = None
    steps: int | None = None
    seed: int | None = None
    fps: int | None = None
    quality: int | None = None


class Pause(msgspec.Struct, frozen=True):
    """Wait that long, then go on."""

    seconds: float


T = TypeVar("T")
Talk = Generator[HttpRequest, HttpResponse, T]
TalkWithPauses = Generator[HttpRequest | Pause, HttpResponse | None, T]


def create(task: Task, key: Key, *, job: str) -> Talk[str]:
    """Submit a task; gives its id.

    Args:
        task: what to compute.
        key: used unless the task has its own.
        job: ten hexadecimal digits; the job id is the task's prefix, a dash and this.

    Raises:
        TaskError: the server refused.
        UsageError: the task's own key cannot be used.
    """
    key = Key.parse(task.api_key, where="the task's api_key") if task.api_key else key
    body: dict[str, Any] = {
        "consumer_id": task.consumer_id or key.consumer_id,
        "api_key": key.api_key,
        "task_type": task.task_type,
        "task_details": {"parameters": task.parameters()},
        "job_id": f"{task.job_id_prefix or 'sdk-workflow'}-{job}",
    }
    if task.workflow_id:
        body["workflow_id"] = task.workflow_id
    if task.timeout_seconds:
        body["timeout_seconds"] = task.timeout_seconds
    value = yield from _post("/task_create", body)
    return _text_in(value, "task_id")


def query(task_id: str, key: Key) -> Talk[dict[str, Any]]:
    """The state of a task, untouched: ``task_id``, ``status``, ``result`` and all else.

    Raises:
        TaskError: the server refused, or does not know the task.
    """
    value = yield from _post("/task_result_query", {"task_id": task_id, "api_key": key.api_key})
    _text_in(value, "status")
    return value


def cancel(task_id: str, key: Key) -> Talk[dict[str, Any]]:
    """Cancel a task; ``{"task_id", "msg"}``, where ``msg`` says what came of it.

    Raises:
        TaskError: the server refused, or does not know the task.
    """
    value = yield from _post("/task_cancel", {"task_id": task_id, "api_key": key.api_key})
    return value


def resource(
    key: Key, *, workflow_id: str | None = None, task_type: str | None = None
) -> Talk[str]:
    """The worker that would take such a task.

    Raises:
        TaskError: the server refused.
    """
    body = {"consumer_id": key.consumer_id, "api_key": key.api_key}
    body |= {"workflow_id": workflow_id} if workflow_id else {}
    body |= {"task_type": task_type} if task_type else {}
    value = yield from _post("/resource_request", body)
    return _text_in(value, "miner_id")


def check_wait(timeout_s: float, interval_s: float) -> None:
    """Refuse limits that make no sense, before anything is sent.

    Raises:
        ValueError: an interval below a second, a timeout that is not above 0.
    """
    if not interval_s >= INTERVAL_S_MIN:
        raise ValueError(f"interval_s must be at least {INTERVAL_S_MIN:g}, not {interval_s!r}")
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be greater than 0, not {timeout_s!r}")


def wait(
    task_id: str,
    key: Key,
    *,
    timeout_s: float,
    interval_s: float,
    check: bool,
) -> TalkWithPauses[dict[str, Any]]:
    """Query at once, then after each interval, until the task is over; canceled is over, too.

    Raises:
        TaskFailed: ``check``, and it failed or was canceled.
        TaskTimedOut: not over within the limit.
        TaskError: see ``query``.
    """
    check_wait(timeout_s, interval_s)
    waited_s = 0.0
    while True:
        state: dict[str, Any] = yield from _asking(query(task_id, key))
        if state["status"] in _OVER:
            break
        if waited_s >= timeout_s:
            raise TaskTimedOut(task_id, state["status"], timeout_s)
        pause_s = min(interval_s, timeout_s - waited_s)
        yield Pause(pause_s)
        waited_s += pause_s
    if check and state["status"] != "finished":
        raise TaskFailed(task_id, state["status"], str(state.get("msg") or ""))
    return state


def _asking(talk: Talk[T]) -> TalkWithPauses[T]:
    try:
        ask = next(talk)
        while True:
            answer = yield ask
            if answer is None:
                raise AssertionError("an Ask is answered with an Answer")
            ask = talk.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value


def _post(path: str, body: Mapping[str, Any]) -> Talk[dict[str, Any]]:
    answer = yield HttpRequest(
        method="POST",
        path=path,
        body=json.dumps(body).encode(),
        content_type="application/json",
    )
    if not 200 <= answer.status < 300:
        raise TaskError(answer.status, _message_of(answer))
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise TaskError(answer.status, f"{path} was answered with {reason_of(answer)}") from None
    if not isinstance(value, dict):
        raise TaskError(answer.status, f"{path} was not answered with an object")
    return value


def _message_of(answer: HttpResponse) -> str:
    """``message``, else ``error``, else the text, else ``Unknown error``."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return reason_of(answer) if answer.body.strip() else "Unknown error"
    if not isinstance(value, dict):
        return "Unknown error"
    words = value.get("message") or value.get("error")
    return words if isinstance(words, str) else "Unknown error"


def _text_in(value: Mapping[str, Any], field: str) -> str:
    found = value.get(field)
    if not isinstance(found, str) or not found:
        raise TaskError(200, f"the answer has no {field}")
    return found
