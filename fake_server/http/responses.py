"""The answers that routes give again and again, in the style of ComfyUI and of aiohttp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from comfyrec.events import comfy_json
from fake_server.source import Response

__all__ = ["empty", "json_response", "server_error", "text"]

_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)


def json_response(value: Any, status: int = 200) -> Response:
    """An answer with a JSON body, dumped as the real server dumps it (protocol.md, section 1)."""
    return Response(status, _JSON, comfy_json(value).encode())


def text(content: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """An answer of plain text."""
    return Response(status, (*_TEXT, *headers), content.encode())


def empty(status: int = 200) -> Response:
    """An answer without a body and without a Content-Type."""
    return Response(status)


def server_error(headers: Sequence[tuple[str, str]] = ()) -> Response:
    """What aiohttp says when a handler raised: 500, plain text, and the connection is closed."""
    body = b"500 Internal Server Error\n\nServer got itself in trouble"
    return Response(500, (*_TEXT, *headers), body, close=True)
