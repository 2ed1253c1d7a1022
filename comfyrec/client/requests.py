"""What is asked of a server over HTTP, and how its answer is read.

A short talk (submit, interrupt, upload, fetch) is a generator: it yields an ``HttpRequest``, is
sent the ``HttpResponse``, and returns what came of it. Any shell can carry it out; none decides
anything.
A request that got no answer at all is thrown in as ``Unanswered``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from comfyrec.client.outputs import OutputFile
from comfyrec.client.workflow import Workflow
from comfyrec.errors import BadAnswer, OutputError, Rejected
from comfyrec.wording import shortened

__all__ = [
    "FEATURE_FLAGS",
    "Accepted",
    "Conversation",
    "HttpRequest",
    "HttpResponse",
    "QueuePlace",
    "Unanswered",
    "Uploaded",
    "fetch",
    "history",
    "place_in",
    "queue",
    "read_history",
    "read_json",
    "read_queue",
    "reason_of",
    "submit",
    "upload",
    "view",
    "with_query",
]


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request."""

    method: str = "GET"
    path: str
    """Below the base path; an absolute URL behind a redirect."""
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = ""
    bare: bool = False
    """Without the client's own headers: the request leaves the server that they are meant for."""

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


def with_query(url: str, query: tuple[tuple[str, str], ...]) -> str:
    """The URL with the query behind it, percent-encoded (A105)."""
    pairs = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    return f"{url}?{pairs}" if pairs else url


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer, whole."""

    status: int
    content_type: str = ""
    location: str = ""
    body: bytes = b""
    url: str = ""
    """Where it came from, for a ``Location`` that is relative."""


class Unanswered(Exception):
    """A request got no answer: refused, reset, too late, cut short.

    ``refused`` says that nobody listens there at all.
    """

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.why, self.refused = why, refused

    def __str__(self) -> str:
        return self.why


FEATURE_FLAGS = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
"""The first message on a socket: what we understand (PROTOCOL.md section 3). Older servers ignore
it."""

T = TypeVar("T")
Conversation = Generator[HttpRequest, HttpResponse, T]

# --- reading ---------------------------------------------------------------------------------

_MEND = {
    301: "give the address it moved to",
    302: "give the address it moved to, or log in there",
    307: "give the address it moved to",
    308: "give the address it moved to",
    401: "give what the server asks for with --header 'Authorization: ...'",
    402: "the account has nothing left to pay with",
    403: "a login, or an Origin check that names another host, is in the way",
    404: "is this the address of ComfyUI? It may lie below a path such as /api",
    405: "is this the address of ComfyUI? It may lie below a path such as /api",
    413: "raise the server's --max-upload-size, or send less",
    429: "the server has enough for now; try again later",
}
_REASON_LENGTH_MAX = 300


def reason_of(answer: HttpResponse) -> str:
    """The server's own words for why it did not do what was asked, in one line.

    Knows ComfyUI's ``{"error": {"message", "details"}}``, its older ``{"error": "..."}``, any
    ``{"message": ...}``, plain text, and a web page (its title).
    """
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _reason_of_text(answer)
    return _one_line(_reason_of_json(value) or f"answer without a reason ({answer.status})")


def _reason_of_json(value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    error = value.get("error")
    if isinstance(error, dict):
        message, details = str(error.get("message") or ""), str(error.get("details") or "")
        return f"{message}: {details}" if details and details != message else message
    return next((str(value[k]) for k in ("error", "message", "detail", "msg") if value.get(k)), "")


def _reason_of_text(answer: HttpResponse) -> str:
    text = answer.body[:20_000].decode("utf-8", "replace")
    if "html" in answer.content_type or re.match(r"\s*<(!doctype|html)", text, re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        named = f" titled '{_one_line(title[1])}'" if title and title[1].strip() else ""
        return f"a web page{named} instead of JSON"
    return _one_line(text) or "an empty answer"


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shortened(line, _REASON_LENGTH_MAX)


def _refused(ask: HttpRequest, answer: HttpResponse) -> BadAnswer:
    why = reason_of(answer)
    if 300 <= answer.status < 400:
        why = f"a redirect to {_without_query(answer.location) or 'nowhere'}"
    return BadAnswer(str(ask), answer.status, why, _MEND.get(answer.status, ""))


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def read_json(ask: HttpRequest, answer: HttpResponse) -> Any:
    """The JSON value of a 2xx answer. ``NaN`` and ``Infinity`` are let through (W13).

    Raises:
        BadAnswer: another status, or no JSON.
    """
    if not 200 <= answer.status < 300:
        raise _refused(ask, answer)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise BadAnswer(
            str(ask), answer.status, _reason_of_text(answer), "is this the address of ComfyUI?"
        ) from None


def _follow(ask: HttpRequest, *, hops_max: int = 5) -> Conversation[HttpResponse]:
    """Ask, and go where redirects lead. On another host our own headers stay behind (A83)."""
    answer = yield ask
    for _ in range(hops_max):
        if answer.status not in (301, 302, 303, 307, 308) or not answer.location:
            break
        target = urljoin(answer.url, answer.location)
        strange = urlsplit(target)[:2] != urlsplit(answer.url)[:2]
        ask = HttpRequest(path=target, bare=ask.bare or strange)
        answer = yield ask
    return answer


# --- submit ----------------------------------------------------------------------------------


class Accepted(msgspec.Struct, frozen=True):
    """The answer to ``POST /prompt``."""

    prompt_id: str
    number: float
    node_errors: dict[str, Any]
    """Not empty when some outputs were refused and the others run (A54)."""


def submit(
    workflow: Workflow,
    *,
    client_id: str,
    prompt_id: str | None = None,
    extra_data: Mapping[str, Any] | None = None,
) -> Conversation[Accepted]:
    """Send a prompt to the queue. A redirect is not followed: the POST would become a GET (A61).

    Raises:
        Rejected: the server did not take it, whatever it answered.
    """
    body: dict[str, Any] = {**workflow.extra, "prompt": workflow.graph, "client_id": client_id}
    if prompt_id is not None:
        body["prompt_id"] = prompt_id
    if extra_data:
        body["extra_data"] = {**body.get("extra_data", {}), **extra_data}
    ask = HttpRequest(
        method="POST",
        path="/prompt",
        body=json.dumps(body).encode(),
        content_type="application/json",
    )
    answer = yield ask
    return _accepted(ask, answer)


def _accepted(ask: HttpRequest, answer: HttpResponse) -> Accepted:
    if answer.status == 400:
        raise _rejected(ask, answer)
    try:
        value = read_json(ask, answer)
    except BadAnswer as bad:
        raise Rejected(bad.request, bad.http_status, bad.why, bad.mend) from None
    prompt_id = value.get("prompt_id") if isinstance(value, dict) else None
    if not isinstance(prompt_id, str) or not prompt_id:
        raise Rejected(
            str(ask), answer.status, "the answer names no prompt_id", "is this ComfyUI itself?"
        )
    number, errors = value.get("number"), value.get("node_errors")
    return Accepted(
        prompt_id,
        float(number) if isinstance(number, int | float) else 0.0,
        errors if isinstance(errors, dict) else {},
    )


def _rejected(ask: HttpRequest, answer: HttpResponse) -> Rejected:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    value = value if isinstance(value, dict) else {}
    error, nodes = value.get("error"), value.get("node_errors")
    nodes = nodes if isinstance(nodes, dict) else {}
    why = "; ".join([reason_of(answer), *node_reasons(nodes)])
    return Rejected(
        str(ask),
        answer.status,
        why,
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
            words = _one_line(_reason_of_json({"error": error}))
            reasons.append(f"node {node_id} ({entry.get('class_type', '?')}): {words}")
    more = [f"and {len(reasons) - most} more"] if len(reasons) > most else []
    return reasons[:most] + more


# --- history and queue -----------------------------------------------------------------------


def history(prompt_id: str) -> HttpRequest:
    """The question for the history entry of a prompt."""
    return HttpRequest(path=f"/history/{prompt_id}")


def read_history(ask: HttpRequest, answer: HttpResponse, prompt_id: str) -> dict[str, Any] | None:
    """The entry, or ``None`` while there is none.

    Raises:
        BadAnswer: no history at all.
    """
    value = read_json(ask, answer)
    if not isinstance(value, dict):
        raise BadAnswer(str(ask), answer.status, "the answer is no object")
    entry = value.get(prompt_id)
    return entry if isinstance(entry, dict) else None


def queue() -> HttpRequest:
    """The question for the queue."""
    return HttpRequest(path="/queue")


class QueuePlace(msgspec.Struct, frozen=True):
    """Where a prompt stands. Neither running nor a position: not in the queue."""

    running: bool = False
    position: int | None = None
    """Prompts that run before it, from 0."""


class Queued(msgspec.Struct, frozen=True):
    """The answer to ``GET /queue``, as far as a client needs it."""

    running: tuple[str, ...]
    pending: tuple[str, ...]
    """In the order they will run: by number, equal ones by id (PROTOCOL.md section 6)."""


def read_queue(ask: HttpRequest, answer: HttpResponse) -> Queued:
    """Who runs, who waits.

    Raises:
        BadAnswer: no queue.
    """
    value = read_json(ask, answer)
    if not isinstance(value, dict):
        raise BadAnswer(str(ask), answer.status, "the answer is no object")
    pending = sorted(_rows(value.get("queue_pending")))
    return Queued(
        tuple(prompt_id for _, prompt_id in _rows(value.get("queue_running"))),
        tuple(prompt_id for _, prompt_id in pending),
    )


def _rows(rows: object) -> list[tuple[float, str]]:
    """``[number, prompt_id, ...]`` of each row; rows of another shape are passed over (A72)."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) > 1 and isinstance(row[1], str):
            number = row[0] if isinstance(row[0], int | float) else 0.0
            found.append((float(number), row[1]))
    return found


def place_in(queued: Queued, prompt_id: str) -> QueuePlace:
    """Where a prompt stands in the queue."""
    if prompt_id in queued.running:
        return QueuePlace(running=True)
    if prompt_id in queued.pending:
        return QueuePlace(position=queued.pending.index(prompt_id) + len(queued.running))
    return QueuePlace()


# --- files -----------------------------------------------------------------------------------


def view(file: OutputFile) -> HttpRequest:
    """The question for the bytes of an output."""
    return HttpRequest(
        path="/view",
        query=(("filename", file.filename), ("subfolder", file.subfolder), ("type", file.type)),
    )


def fetch(file: OutputFile) -> Conversation[bytes]:
    """The bytes of an output. That they are all there is the shell's to see (``Unanswered``).

    Raises:
        OutputError: the server does not have it.
    """
    answer = yield from _follow(view(file))
    if not 200 <= answer.status < 300:
        raise OutputError(file.filename, f"GET /view: {answer.status}, {reason_of(answer)}")
    if not answer.body:
        raise OutputError(file.filename, "GET /view gave an empty file")
    return answer.body


class Uploaded(msgspec.Struct, frozen=True):
    """Where an upload lies on the server; the name may be another than the one given (A85)."""

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
        name: its name; a path in front of it is put into ``subfolder``, as the server wants it.
        boundary: of the multipart body; must not occur in ``data``.
        subfolder: below the input folder.
        type: ``input``, ``temp`` or ``output``.
        overwrite: replace a file of that name instead of getting another name.

    Raises:
        BadAnswer: the server did not take it.
    """
    folder, _, base = name.replace("\\", "/").rpartition("/")
    fields = {
        "type": type,
        "subfolder": "/".join(part for part in (subfolder, folder.strip("/")) if part),
        "overwrite": "true" if overwrite else "",
    }
    ask = HttpRequest(
        method="POST",
        path="/upload/image",
        body=_multipart(boundary, data, base, fields),
        content_type=f"multipart/form-data; boundary={boundary}",
    )
    answer = yield ask
    value = read_json(ask, answer)
    stored = value.get("name") if isinstance(value, dict) else None
    if not isinstance(stored, str):
        raise BadAnswer(str(ask), answer.status, "the answer names no file")
    return Uploaded(stored, str(value.get("subfolder") or ""), str(value.get("type") or type))


def _multipart(boundary: str, data: bytes, name: str, fields: Mapping[str, str]) -> bytes:
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode(),
        data,
        b"\r\n",
    ]
    for key, value in fields.items():
        if value:
            parts.append(
                f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'
                f"{value}\r\n".encode()
            )
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])
