"""The HTTP requests that a client makes of ComfyUI, and how their responses are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from comfyrec.client.http.exchange import (
    Conversation,
    HttpRequest,
    HttpResponse,
    follow,
    one_line,
    read_json,
    reason_in,
    reason_of,
)
from comfyrec.client.outputs import OutputFile
from comfyrec.client.workflow import Workflow
from comfyrec.errors import BadAnswer, OutputError, Rejected
from comfyrec.http.request import loads_or_none
from comfyrec.wording import shortened_list

__all__ = [
    "FEATURE_FLAGS",
    "Accepted",
    "LookedUp",
    "QueuePlace",
    "Uploaded",
    "fetch",
    "history",
    "look_up",
    "multipart",
    "place_in",
    "queue",
    "read_history",
    "read_queue",
    "submit",
    "upload",
    "view",
]


FEATURE_FLAGS = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
"""The first message on a WebSocket: what we understand (protocol.md section 3). Older servers
ignore it."""


# --- reading ---------------------------------------------------------------------------------


# --- submit ----------------------------------------------------------------------------------


class Accepted(msgspec.Struct, frozen=True):
    """The response to ``POST /prompt``."""

    prompt_id: str
    number: float
    node_errors: dict[str, Any]
    """Not empty when some outputs were rejected and the others run (A54)."""
    hint: str = ""
    """How to go on after that, where the server says so."""


def submit(
    workflow: Workflow,
    *,
    client_id: str,
    prompt_id: str | None = None,
    extra_data: Mapping[str, Any] | None = None,
) -> Conversation[Accepted]:
    """Send a prompt to the queue. A redirect is not followed: the POST would become a GET (A61).

    Raises:
        Rejected: the server did not accept it.
    """
    body: dict[str, Any] = {**workflow.extra, "prompt": workflow.graph, "client_id": client_id}
    if prompt_id is not None:
        body["prompt_id"] = prompt_id
    if extra_data:
        body["extra_data"] = {**body.get("extra_data", {}), **extra_data}
    request = HttpRequest(
        method="POST",
        path="/prompt",
        body=json.dumps(body).encode(),
        content_type="application/json",
    )
    response = yield request
    return _accepted(request, response)


def _accepted(request: HttpRequest, response: HttpResponse) -> Accepted:
    if response.status == 400:
        raise _rejected(request, response)
    try:
        value = read_json(request, response)
    except BadAnswer as bad:
        raise Rejected(bad.request, bad.http_status, bad.why, bad.mend) from None
    prompt_id = value.get("prompt_id") if isinstance(value, dict) else None
    if not isinstance(prompt_id, str) or not prompt_id:
        raise Rejected(
            str(request),
            response.status,
            "the response has no prompt_id",
            "is this ComfyUI itself?",
        )
    number, errors = value.get("number"), value.get("node_errors")
    return Accepted(
        prompt_id,
        float(number) if isinstance(number, int | float) else 0.0,
        errors if isinstance(errors, dict) else {},
        response.hint,
    )


def _rejected(request: HttpRequest, response: HttpResponse) -> Rejected:
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        value = None
    value = value if isinstance(value, dict) else {}
    error, nodes = value.get("error"), value.get("node_errors")
    nodes = nodes if isinstance(nodes, dict) else {}
    why = "; ".join([reason_of(response), *node_reasons(nodes)])
    return Rejected(
        str(request),
        response.status,
        why,
        response.hint,
        error_type=str(error.get("type", "")) if isinstance(error, dict) else "",
        node_errors=nodes,
    )


def node_reasons(node_errors: Mapping[str, Any], *, most: int = 8) -> list[str]:
    """One clause for each error of each node: ``node 4 (KSampler): Value not in list: ...``."""
    reasons = []
    for node_id, entry in node_errors.items():
        entry = entry if isinstance(entry, dict) else {}
        errors = entry.get("errors")
        for error in errors if isinstance(errors, list) else []:
            words = one_line(reason_in({"error": error}))
            reasons.append(f"node {node_id} ({entry.get('class_type', '?')}): {words}")
    return shortened_list(reasons, most)


# --- history and queue -----------------------------------------------------------------------


def history(prompt_id: str) -> HttpRequest:
    """The request for the history entry of a prompt."""
    return HttpRequest(path=f"/history/{prompt_id}")


def read_history(
    request: HttpRequest, response: HttpResponse, prompt_id: str
) -> dict[str, Any] | None:
    """The entry, or None while there is none.

    Raises:
        BadAnswer: the response is not a history.
    """
    value = read_json(request, response)
    if not isinstance(value, dict):
        raise BadAnswer(str(request), response.status, "the response is not a JSON object")
    entry = value.get(prompt_id)
    return entry if isinstance(entry, dict) else None


class LookedUp(msgspec.Struct, frozen=True):
    """What a server says of the end of a prompt."""

    entry: dict[str, Any] | None = None
    """As in a history; None while there is none."""
    can_say: bool = True
    """False: it has neither a history of single prompts nor jobs, so no entry means nothing."""
    cancelled: bool = False
    """A job, which was cancelled: before it ran, or while."""


def look_up(prompt_id: str) -> Conversation[LookedUp]:
    """Ask for the end of a prompt: the history, or the jobs where there is no such history.

    Comfy Cloud has no ``/history/{id}``, and some gateways let only jobs through.

    Raises:
        BadAnswer: a response is neither a history nor a job.
    """
    request = history(prompt_id)
    response = yield request
    if response.status != 404:
        return LookedUp(read_history(request, response, prompt_id))
    request = HttpRequest(path=f"/api/jobs/{prompt_id}")
    response = yield request
    if response.status == 404:
        # With a reason there are jobs, and this is not one of them.
        return LookedUp(can_say=isinstance(loads_or_none(response.body), dict))
    value = read_json(request, response)
    if not isinstance(value, dict):
        raise BadAnswer(str(request), response.status, "the response is not a JSON object")
    return LookedUp(_entry_of_job(value), cancelled=value.get("status") == "cancelled")


def _told_in(message: object) -> dict[str, Any] | None:
    """The error of a job that has it as a text, or as JSON in a text."""
    if not isinstance(message, str) or not message:
        return None
    value = loads_or_none(message.encode("utf-8", "replace"))
    return value if isinstance(value, dict) else {"exception_message": message}


_STATUS_OF_JOB = {"completed": "success", "failed": "error", "cancelled": "error"}
_END_OF_JOB = {"failed": "execution_error", "cancelled": "execution_interrupted"}


def _entry_of_job(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """A job that is over as an entry of the history."""
    word = str(job.get("status"))
    if word not in _STATUS_OF_JOB:
        return None
    status = job.get("execution_status")
    if not isinstance(status, dict) or "status_str" not in status:
        error = job.get("execution_error") or _told_in(job.get("error_message"))
        completed = word == "completed"
        told = [] if completed else [[_END_OF_JOB[word], error if isinstance(error, dict) else {}]]
        messages = told if word == "cancelled" or isinstance(error, dict) else []
        status = {"status_str": _STATUS_OF_JOB[word], "completed": completed, "messages": messages}
    outputs, meta = job.get("outputs"), job.get("execution_meta")
    return {"outputs": outputs or {}, "status": status, "meta": meta or {}}


def queue() -> HttpRequest:
    """The request for the queue."""
    return HttpRequest(path="/queue")


class QueuePlace(msgspec.Struct, frozen=True):
    """Where a prompt is in the queue. Neither running nor a position: not there."""

    running: bool = False
    position: int | None = None
    """Prompts that run before it, from 0."""


class Queued(msgspec.Struct, frozen=True):
    """The response to ``GET /queue``, as far as a client needs it."""

    running: tuple[str, ...]
    pending: tuple[str, ...]
    """In the order they will run: by number, equal ones by id (protocol.md section 6)."""


def read_queue(request: HttpRequest, response: HttpResponse) -> Queued:
    """Which prompts run and which wait.

    Raises:
        BadAnswer: the response is not a queue.
    """
    value = read_json(request, response)
    if not isinstance(value, dict):
        raise BadAnswer(str(request), response.status, "the response is not a JSON object")
    pending = sorted(_rows(value.get("queue_pending")))
    return Queued(
        tuple(prompt_id for _, prompt_id in _rows(value.get("queue_running"))),
        tuple(prompt_id for _, prompt_id in pending),
    )


def _rows(rows: object) -> list[tuple[float, str]]:
    """``[number, prompt_id, ...]`` of each row; rows of another shape are skipped (A72)."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) > 1 and isinstance(row[1], str):
            number = row[0] if isinstance(row[0], int | float) else 0.0
            found.append((float(number), row[1]))
    return found


def place_in(queued: Queued, prompt_id: str) -> QueuePlace:
    """Where a prompt is in the queue."""
    if prompt_id in queued.running:
        return QueuePlace(running=True)
    if prompt_id in queued.pending:
        return QueuePlace(position=queued.pending.index(prompt_id) + len(queued.running))
    return QueuePlace()


# --- files -----------------------------------------------------------------------------------


def view(file: OutputFile) -> HttpRequest:
    """The request for the bytes of an output."""
    return HttpRequest(
        path="/view",
        query=(("filename", file.filename), ("subfolder", file.subfolder), ("type", file.type)),
    )


def fetch(file: OutputFile) -> Conversation[bytes]:
    """The bytes of an output. The shell makes sure that they are complete (``Unanswered``).

    Raises:
        OutputError: the server does not have it.
    """
    response = yield from follow(view(file))
    if not 200 <= response.status < 300:
        raise OutputError(file.filename, f"GET /view: {response.status}, {reason_of(response)}")
    if not response.body:
        raise OutputError(file.filename, "GET /view returned an empty file")
    return response.body


class Uploaded(msgspec.Struct, frozen=True):
    """Where an upload is on the server; the name may differ from the one given (A85)."""

    name: str
    subfolder: str
    type: str


def upload(
    data: bytes,
    name: str,
    *,
    boundary: str,
    subfolder: str = "",
    type: str = "input",
    overwrite: bool = False,
) -> Conversation[Uploaded]:
    """Put an image into the server's input folder.

    Args:
        data: the file's bytes.
        name: its name; a folder in it is moved into ``subfolder``, as the server wants it.
        boundary: of the multipart body; must not occur in ``data``.
        subfolder: below the input folder.
        type: ``input``, ``temp`` or ``output``.
        overwrite: replace a file of that name instead of getting another name.

    Raises:
        BadAnswer: the server did not accept it.
    """
    folder, _, base = name.replace("\\", "/").rpartition("/")
    fields = {
        "type": type,
        "subfolder": "/".join(part for part in (subfolder, folder.strip("/")) if part),
        "overwrite": "true" if overwrite else "",
    }
    request = HttpRequest(
        method="POST",
        path="/upload/image",
        body=multipart(boundary, data, base, fields),
        content_type=f"multipart/form-data; boundary={boundary}",
    )
    response = yield request
    value = read_json(request, response)
    stored = value.get("name") if isinstance(value, dict) else None
    if not isinstance(stored, str):
        raise BadAnswer(str(request), response.status, "the response does not name the file")
    return Uploaded(stored, str(value.get("subfolder") or ""), str(value.get("type") or type))


def multipart(
    boundary: str,
    data: bytes,
    name: str,
    fields: Mapping[str, str],
    *,
    field: str = "image",
    kind: str = "application/octet-stream",
    fields_first: bool = False,
) -> bytes:
    """A form with a file; fields that are empty are left out.

    Args:
        boundary: must not occur in ``data``.
        data, name, field, kind: the file, its name, that of its part, and its media type.
        fields: name -> value.
        fields_first: whether they come before the file.
    """
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{quoted}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    file = b"".join((head.encode(), data, b"\r\n"))
    others = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
        if value
    ]
    parts = [*others, file] if fields_first else [file, *others]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])
