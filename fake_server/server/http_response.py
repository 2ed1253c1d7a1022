"""HTTP answers as bytes: head and body, as aiohttp would write them for ComfyUI.

aiohttp does not write answers itself here, since an answer has to leave in the order in which the
source said so, at once. What we rely on of aiohttp: that a handler may return an ``AlreadyWritten``
whose ``prepare`` and ``write_eof`` do nothing, that its ``keep_alive`` decides whether the
connection goes on, and that nobody else writes to the transport of a request that waits. The tests
hold each answer against what aiohttp itself writes.
"""

from __future__ import annotations

import asyncio
import http
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Protocol

import aiohttp
from aiohttp import web

from comfyrec.errors import ComfyrecError
from fake_server.http.responses import text
from fake_server.server.clock import date_field
from fake_server.source import Response

__all__ = ["AlreadyWritten", "AnsweredRequest", "in_words", "rendered", "whole"]

_SERVER: Final = f"Python/{sys.version_info[0]}.{sys.version_info[1]} aiohttp/{aiohttp.__version__}"
_ENDS_A_LINE: Final = re.compile(r"[\r\n\0]")
_CHUNKED: Final = "transfer-encoding: chunked\r\n"
_GUESSED: Final = "content-type: application/octet-stream\r\n"


class AnsweredRequest(Protocol):
    """What the answer has to know of its request; aiohttp's requests have it."""

    @property
    def method(self) -> str: ...
    @property
    def version(self) -> aiohttp.HttpVersion: ...
    @property
    def keep_alive(self) -> bool: ...
    @property
    def transport(self) -> asyncio.Transport | None: ...


class AlreadyWritten(web.StreamResponse):
    """Tells aiohttp that the answer has left already."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again."""
        return self._stays


def in_words(error: ComfyrecError) -> Response:
    """An error of ours as an answer: for the test's author, not for the client."""
    mark = ("X-Comfyrec-Error", type(error).__name__)
    return text(f"comfyrec: {error}", 500, (mark,))


def whole(answer: Response, request: AnsweredRequest, stays: bool) -> bytes:
    """All of an answer; nothing for one with a field that aiohttp would refuse to write."""
    try:
        return b"".join(rendered(answer, request, stays))
    except ValueError:
        return b""


def rendered(answer: Response, request: AnsweredRequest, stays: bool) -> Iterator[bytes]:
    """Head and body of an answer, as aiohttp would write them.

    Raises:
        ValueError: a field of it would end its line.
    """
    written, given, chunked = _head_fields(answer.headers)
    headers = list(written)
    bodiless = answer.status in (204, 304) or answer.status < 200
    head_only = request.method == "HEAD"
    version = request.version
    if head_only and not answer.body:
        # Nobody knows the length of what is not there, nor its type; aiohttp says nothing of it.
        headers = _without_guesses(headers) if chunked else headers
    elif chunked and version < (1, 1):
        # Nobody can read chunks there; the end of the connection is the end of the body.
        headers = [line for line in headers if line.lower() != _CHUNKED]
    elif not bodiless and not chunked and "content-length" not in given:
        headers.append(f"Content-Length: {len(answer.body)}\r\n")
    if "date" not in given:
        headers.append(f"Date: {date_field()}\r\n")
    if "server" not in given:
        headers.append(f"Server: {_SERVER}\r\n")
    if "connection" not in given and version == ((1, 0) if stays else (1, 1)):
        headers.append(f"Connection: {'keep-alive' if stays else 'close'}\r\n")
    reason = answer.reason if answer.reason is not None else _phrase(answer.status)
    start = f"HTTP/{version[0]}.{version[1]} {answer.status} {reason}\r\n"
    yield "".join((start, *headers, "\r\n")).encode("utf-8", "surrogateescape")
    if head_only or bodiless:
        return
    if chunked and version >= (1, 1):
        if answer.body:
            yield b"%x\r\n%b\r\n" % (len(answer.body), answer.body)
        yield b"0\r\n\r\n"
    else:
        yield answer.body


def _without_guesses(headers: list[str]) -> list[str]:
    """Without the mark of chunks, and without the type that aiohttp sets after it."""
    mark = next(i for i, line in enumerate(headers) if line.lower() == _CHUNKED)
    return headers[:mark] + [h for h in headers[mark + 1 :] if h.lower() != _GUESSED]


@lru_cache(maxsize=256)
def _head_fields(
    fields: tuple[tuple[str, str], ...],
) -> tuple[tuple[str, ...], frozenset[str], bool]:
    """The lines of an answer's fields, their names, and whether they say that it is chunked."""
    given = {name.lower(): value for name, value in fields}
    lines = tuple(f"{name}: {value}\r\n" for name, value in fields)
    if any(_ENDS_A_LINE.search(line, 0, len(line) - 2) for line in lines):
        raise ValueError("a field holds the end of a line")
    return lines, frozenset(given), given.get("transfer-encoding", "").lower() == "chunked"


@lru_cache(maxsize=64)
def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
