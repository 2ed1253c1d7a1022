"""Jobs and assets of Comfy API v2 as conversations: what is asked, in which order, how often.

They are generators as in ``comfyrec.client.http.requests``, with one more kind of step: ``Pause``.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from comfyrec.client.http.exchange import (
    HttpRequest,
    HttpResponse,
    Unanswered,
    follow,
    read_json,
    reason_of,
)
from comfyrec.client.http.requests import multipart
from comfyrec.errors import BadAnswer, DecodeError, OutputError, Rejected
from comfyrec.events import v2
from comfyrec.http.media_types import guessed_type

__all__ = ["Pause", "Step", "bring", "code_of", "fetch", "look", "request_to", "submit"]

LABEL: Final = "comfyrec"
"""Under this label a job carries what it is found by, where its answer was lost."""
BASE: Final = "/api/v2"
_TRIES_MAX: Final = 5
_BUSY_TRIES_MAX: Final = 60
_PAUSE_MAX_S: Final = 30.0

T = TypeVar("T")


class Pause(msgspec.Struct, frozen=True):
    """Wait so long; then go on with None."""

    seconds: float


Step = HttpRequest | Pause
Conversation = Generator[Step, Any, T]


def submit(
    graph: Mapping[str, Any], *, key: str, extra_data: Mapping[str, Any]
) -> Conversation[v2.Job]:
    """Submit a workflow under one key until it is known what came of it.

    A full queue is waited for. Where the answer is lost, or says that the key was used, the job is
    looked for in the list by its label; the key makes sure that there is one job at most.

    Raises:
        Rejected: the server did not accept it.
        Unanswered: nobody answers, or nobody can say whether there is a job.
    """
    body: dict[str, Any] = {"workflow": graph, "metadata": {LABEL: key}}
    if extra_data:
        body["extra_data"] = dict(extra_data)
    request = HttpRequest(
        method="POST",
        path=f"{BASE}/jobs",
        body=json.dumps(body).encode(),
        content_type="application/json",
        headers=(("Idempotency-Key", key),),
    )
    tries = busy = 0
    while True:
        try:
            response: HttpResponse = yield request
        except Unanswered as silent:
            tries += 1
            if silent.refused or tries >= _TRIES_MAX:
                raise
            yield Pause(0.1 * 2**tries)
            continue
        if response.status == 201:
            return _job(request, response)
        busy += 1
        if response.status == 429 and busy < _BUSY_TRIES_MAX:
            yield Pause(_seconds(response.retry_after))
            continue
        code = code_of(response)
        if code == "metadata_not_supported" and "metadata" in body:
            del body["metadata"]  # Comfy Cloud takes no labels
            request = msgspec.structs.replace(request, body=json.dumps(body).encode())
            continue
        if response.status >= 500 or code == "idempotency_key_reuse":
            return (yield from _find(key, response))
        raise _rejected(request, response)


def _seconds(retry_after: str) -> float:
    """``Retry-After`` in seconds; a date is not worth a clock."""
    given = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 1.0
    return min(max(given, 0.1), _PAUSE_MAX_S)


def code_of(response: HttpResponse) -> str:
    """The code of an error; empty for what is not in the envelope of v2."""
    try:
        return v2.decode_http(v2.ErrorEnvelope, response.body).error.code
    except DecodeError:
        return ""


def _rejected(request: HttpRequest, response: HttpResponse) -> Rejected:
    code, why = code_of(response), reason_of(response)
    return Rejected(
        str(request),
        response.status,
        f"{code}: {why}" if code else why,
        response.hint or _REMEDIES.get(code, ""),
        error_type=code,
    )


_REMEDIES: Final = {
    "workflow_format_ui": "export the workflow in API format",
    "unauthorized": "give the key with --header 'Authorization: Bearer ...'",
    "deployment_stopped": "start the deployment",
    "insufficient_credits": "the account has no credits left",
}


def _find(key: str, told: HttpResponse) -> Conversation[v2.Job]:
    """The job that was submitted under the key."""
    query = ((f"metadata[{LABEL}]", key),)
    request = HttpRequest(path=f"{BASE}/jobs", query=query)
    response: HttpResponse = yield request
    try:
        page = v2.decode_http(v2.JobList, response.body) if response.status == 200 else None
    except DecodeError:
        page = None
    for item in page.jobs if page is not None else ():
        if isinstance(item.get("id"), str) and item.get("metadata") == {LABEL: key}:
            path = f"{BASE}/jobs/{quote(item['id'], safe='')}"
            return (yield from look(HttpRequest(path=path)))
    raise Unanswered(f"the server does not say whether there is a job: {reason_of(told)}")


def look(request: HttpRequest) -> Conversation[v2.Job]:
    """The job as it is now.

    Raises:
        BadAnswer: the server does not know it, or does not say.
    """
    return _job(request, (yield request))


def _job(request: HttpRequest, response: HttpResponse) -> v2.Job:
    read_json(request, response)
    try:
        return v2.decode_http(v2.Job, response.body)
    except DecodeError as misfit:
        raise BadAnswer(str(request), response.status, f"not a job ({misfit})") from None


def request_to(origin: str, link: str, *, method: str = "GET") -> HttpRequest:
    """What a link of a job asks for: absolute, or from the root of the same host.

    It already holds the path that the server is mounted under. The key goes to its own host alone.
    """
    url = urljoin(f"{origin}/", link)
    return HttpRequest(method=method, path=url, bare=urlsplit(url)[:2] != urlsplit(origin)[:2])


def bring(data: bytes, name: str, *, boundary: str) -> Conversation[str]:
    """Upload a file; gives the id of its asset.

    Raises:
        BadAnswer: the server did not accept it.
    """
    kind = guessed_type(name)
    fields = {"content_type": kind, "file_path": name}
    request = HttpRequest(
        method="POST",
        path=f"{BASE}/assets",
        body=multipart(boundary, data, name, fields, field="file", kind=kind, fields_first=True),
        content_type=f"multipart/form-data; boundary={boundary}",
    )
    response: HttpResponse = yield request
    value = read_json(request, response)
    id = value.get("id") if isinstance(value, dict) else None
    if not isinstance(id, str):
        raise BadAnswer(str(request), response.status, "the response does not name the asset")
    return id


def fetch(asset_id: str, name: str) -> Conversation[bytes]:
    """The bytes of an output; redirects are followed without the key.

    Raises:
        OutputError: the server does not have it.
    """
    path = f"{BASE}/assets/{quote(asset_id, safe='')}/content"
    response: HttpResponse = yield from follow(HttpRequest(path=path))
    if response.status != 200:
        raise OutputError(name, f"GET {path}: {response.status}, {reason_of(response)}")
    return response.body
