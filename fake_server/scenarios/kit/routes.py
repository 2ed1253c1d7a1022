"""request -> which of ComfyUI's routes it asks for; and JSON bodies, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec

from fake_server.source import Request, Response

__all__ = [
    "Route",
    "client_id_of",
    "json_response",
    "path_of",
    "posts",
    "query_of",
    "read_json",
    "route",
    "with_query",
    "with_target",
    "write_json",
]


class Route(msgspec.Struct, frozen=True):
    """A method and a path pattern; ``{}`` stands for one segment, a final ``*`` for the rest."""

    method: str
    pattern: str

    def __call__(self, request: Request) -> bool:
        """Whether the request asks for this route, with or without ``/api``."""
        if self.method not in ("*", request.method):
            return False
        return _fits(self.pattern.split("/"), path_of(request).split("/"))

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"


def _fits(pattern: Sequence[str], path: Sequence[str]) -> bool:
    if pattern and pattern[-1] == "*":
        return list(path[: len(pattern) - 1]) == list(pattern[:-1])
    return len(pattern) == len(path) and all(
        wanted in ("{}", given) for wanted, given in zip(pattern, path, strict=True)
    )


def route(*texts: str) -> Callable[[Request], bool]:
    """One of several routes, each written ``GET /history/{}``; ``*`` fits every method."""
    routes = [Route(*text.split(" ", 1)) for text in texts]
    return lambda request: any(one(request) for one in routes)


posts = route("POST /prompt")
"""Whether a request submits a prompt."""


def path_of(request: Request) -> str:
    """The decoded path without its ``/api`` prefix and query."""
    path = unquote(urlsplit(request.target).path)
    return path[4:] if path.startswith("/api/") and not path.startswith("/api/jobs") else path


def query_of(request: Request) -> dict[str, str]:
    """The query, first value of each name."""
    query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    return {name: values[0] for name, values in query.items()}


def with_query(request: Request, **values: str | None) -> Request:
    """The request with these query values; None takes one out."""
    parts = urlsplit(request.target)
    pairs = [
        pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in values
    ]
    pairs += [(name, value) for name, value in values.items() if value is not None]
    query = urlencode(pairs, quote_via=quote)
    return with_target(request, f"{parts.path}?{query}" if query else parts.path)


def with_target(request: Request, target: str) -> Request:
    """The request for another target."""
    return msgspec.structs.replace(request, target=target)


def client_id_of(request: Request) -> str:
    """The ``clientId`` of a WebSocket upgrade, empty when there is none."""
    return query_of(request).get("clientId", "")


def read_json(body: bytes) -> Any:
    """A JSON value (NaN allowed), or None for what is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def write_json(value: Any) -> bytes:
    """A JSON body as ComfyUI's server writes it: Python's default separators and NaN."""
    return json.dumps(value).encode()


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON response with ComfyUI's content type."""
    headers = (("Content-Type", "application/json; charset=utf-8"),)
    return Response(status, headers, write_json(value))
