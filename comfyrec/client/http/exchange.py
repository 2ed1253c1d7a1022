"""One HTTP request of a client and its response, and what a response says.

A ``Conversation`` is a generator: it yields an ``HttpRequest``, is sent the ``HttpResponse``, and
returns what came of it. Any shell can carry it out. A request that got no response at all is thrown
in as ``Unanswered``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from comfyrec.errors import BadAnswer
from comfyrec.wording import shortened

__all__ = [
    "Conversation",
    "HttpRequest",
    "HttpResponse",
    "Unanswered",
    "follow",
    "key_in",
    "one_line",
    "read_json",
    "reason_in",
    "reason_of",
    "with_query",
]


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request."""

    method: str = "GET"
    path: str
    """Below the base path, or an absolute URL."""
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Of this request alone."""
    bare: bool = False
    """Without the client's own headers: they are meant for another server."""
    timeout_s: float | None = None
    """Instead of the settings' limit for a request."""

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


def with_query(url: str, query: tuple[tuple[str, str], ...]) -> str:
    """The URL with the query, percent-encoded (A105)."""
    pairs = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    return f"{url}?{pairs}" if pairs else url


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response, complete."""

    status: int
    content_type: str = ""
    location: str = ""
    body: bytes = b""
    url: str = ""
    """Where it came from; a relative ``Location`` starts there."""
    retry_after: str = ""
    """When to come again, as the server wrote it."""
    hint: str = ""
    """How to go on, from a simulated server that says that it is one."""


class Unanswered(Exception):
    """A request got no response: refused, reset, too late, cut short.

    Attributes:
        why: one line.
        refused: no server listens there.
    """

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.why, self.refused = why, refused

    def __str__(self) -> str:
        return self.why


_BEARER = "bearer "


def key_in(headers: Mapping[str, str]) -> str:
    """The key that a client's own headers hold; empty if there is none."""
    fields = {name.lower(): value.strip() for name, value in headers.items()}
    bearer = fields.get("authorization", "")
    token = bearer[len(_BEARER) :].strip() if bearer.lower().startswith(_BEARER) else ""
    return fields.get("x-api-key") or token


T = TypeVar("T")


Conversation = Generator[HttpRequest, HttpResponse, T]


_REMEDIES = {
    301: "give the address it moved to",
    302: "give the address it moved to, or log in there",
    307: "give the address it moved to",
    308: "give the address it moved to",
    401: "give what the server asks for with --header 'Authorization: ...'",
    402: "the account has no credits left",
    403: "log in, or give the address that the server's Origin check expects",
    404: "is this the address of ComfyUI? It may be below a path such as /api",
    405: "is this the address of ComfyUI? It may be below a path such as /api",
    413: "raise the server's --max-upload-size, or send less",
    429: "the server is busy; try again later",
}


_REASON_LENGTH_MAX = 300


def reason_of(response: HttpResponse) -> str:
    """The server's own reason for not doing what was requested, in one line.

    Knows ComfyUI's ``{"error": {"message", "details"}}``, its older ``{"error": "..."}``, any
    ``{"message": ...}``, plain text, and a web page (its title).
    """
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return _reason_of_text(response)
    return one_line(reason_in(value) or f"response without a reason ({response.status})")


def reason_in(value: object) -> str:
    """The reason that a JSON body gives; empty if it gives none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    error = value.get("error")
    if isinstance(error, dict):
        message, details = str(error.get("message") or ""), str(error.get("details") or "")
        return f"{message}: {details}" if details and details != message else message
    return next((str(value[k]) for k in ("error", "message", "detail", "msg") if value.get(k)), "")


def _reason_of_text(response: HttpResponse) -> str:
    text = response.body[:20_000].decode("utf-8", "replace")
    if "html" in response.content_type or re.match(r"\s*<(!doctype|html)", text, re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        named = f" titled '{one_line(title[1])}'" if title and title[1].strip() else ""
        return f"a web page{named} instead of JSON"
    return one_line(text) or "an empty response"


def one_line(text: str) -> str:
    """A server's text on one line, without what a terminal would act on, and not too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shortened(line, _REASON_LENGTH_MAX)


def _refused(request: HttpRequest, response: HttpResponse) -> BadAnswer:
    why = reason_of(response)
    if 300 <= response.status < 400:
        why = f"a redirect to {_without_query(response.location) or 'nowhere'}"
    return BadAnswer(str(request), response.status, why, _REMEDIES.get(response.status, ""))


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def read_json(request: HttpRequest, response: HttpResponse) -> Any:
    """The JSON value of a 2xx response. ``NaN`` and ``Infinity`` are accepted (W13).

    Raises:
        BadAnswer: another status, or not JSON.
    """
    if not 200 <= response.status < 300:
        raise _refused(request, response)
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        raise BadAnswer(
            str(request),
            response.status,
            _reason_of_text(response),
            "is this the address of ComfyUI?",
        ) from None


def follow(request: HttpRequest, *, hops_max: int = 5) -> Conversation[HttpResponse]:
    """Send a request and follow redirects; our own headers go to no other host (A83)."""
    response = yield request
    for _ in range(hops_max):
        if response.status not in (301, 302, 303, 307, 308) or not response.location:
            break
        target = urljoin(response.url, response.location)
        strange = urlsplit(target)[:2] != urlsplit(response.url)[:2]
        request = HttpRequest(path=target, bare=request.bare or strange)
        response = yield request
    return response
