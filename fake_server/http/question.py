"""One HTTP question, taken apart: what the answers read instead of a request's raw target."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.nesting import nests_deeper
from fake_server.source import Response

__all__ = ["RoutedRequest", "empty", "json_answer", "loads", "server_error"]

_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)

SERVER_NESTS_MAX: Final = 950
"""Lists and objects in each other that a server's Python reads, up to 3.12; ours may read more."""


class RoutedRequest(msgspec.Struct, frozen=True):
    """A request whose route is known.

    ``path`` is decoded and has no ``/api`` in front; ``prefixed`` says whether it had. ``query``
    keeps every value of a name, in order; ``param`` holds the variable parts of the path.
    """

    method: str
    path: str
    prefixed: bool = False
    query: Mapping[str, Sequence[str]] = {}
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    param: Mapping[str, str] = {}

    def header(self, name: str, default: str = "") -> str:
        """The first field of that name, whatever its case."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), default)

    def asked(self, name: str) -> str | None:
        """The first value of a query parameter, None when it is not there."""
        values = self.query.get(name)
        return values[0] if values else None


def loads(text: str | bytes) -> Any:
    """Read JSON as Python's ``json`` reads it, the common case in a fifth of its time.

    Raises:
        ValueError: it is none.
        RecursionError: nested more deeply than the server's Python goes.
    """
    if nests_deeper(text, SERVER_NESTS_MAX):
        raise RecursionError("maximum recursion depth exceeded while decoding a JSON document")
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # NaN, lone surrogates, numbers that no double holds: strict parsers take none of them.
        return json.loads(text)


def json_answer(value: Any, status: int = 200) -> Response:
    """An answer with a JSON body, dumped as the real server dumps it (PROTOCOL.md, section 1)."""
    return Response(status=status, headers=_JSON, body=comfy_json(value).encode())


def empty(status: int = 200) -> Response:
    """An answer without a body and without a Content-Type."""
    return Response(status=status)


def server_error() -> Response:
    """What aiohttp says when a handler raised: 500, plain text, and the connection is closed."""
    text = b"500 Internal Server Error\n\nServer got itself in trouble"
    return Response(status=500, headers=_TEXT, body=text, close=True)
