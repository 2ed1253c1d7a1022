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
from typing import Final, NamedTuple, Protocol

import aiohttp
import msgspec
from aiohttp import web

from comfyrec.errors import ComfyrecError
from fake_server.http.responses import text
from fake_server.server.clock import date_field
from fake_server.source import Response

__all__ = [
    "AlreadyWritten",
    "AnsweredRequest",
    "chunk",
    "head_of_pieces",
    "in_words",
    "rendered",
    "whole",
]

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
    yield _head(answer, request, stays, len(answer.body))
    if request.method == "HEAD" or _is_bodiless(answer):
        return
    if _head_fields(answer.headers).chunked and request.version >= (1, 1):
        yield chunk(answer.body, last=True)
    else:
        yield answer.body


def _head(answer: Response, request: AnsweredRequest, stays: bool, size: int | None) -> bytes:
    """The start line and the fields; ``size`` is of the body, None when nobody knows it yet."""
    written, given, chunked = _head_fields(answer.headers)
    headers = list(written)
    version = request.version
    if request.method == "HEAD" and not size:
        # Nobody knows the length of what is not there, nor its type; aiohttp says nothing of it.
        headers = _without_guesses(headers) if chunked else headers
    elif chunked and version < (1, 1):
        # Nobody can read chunks there; the end of the connection is the end of the body.
        headers = [line for line in headers if line.lower() != _CHUNKED]
    elif not _is_bodiless(answer) and not chunked and "content-length" not in given:
        headers.append(f"Content-Length: {size}\r\n")
    if "date" not in given:
        headers.append(f"Date: {date_field()}\r\n")
    if "server" not in given:
        headers.append(f"Server: {_SERVER}\r\n")
    if "connection" not in given and version == ((1, 0) if stays else (1, 1)):
        headers.append(f"Connection: {'keep-alive' if stays else 'close'}\r\n")
    reason = answer.reason if answer.reason is not None else _phrase(answer.status)
    start = f"HTTP/{version[0]}.{version[1]} {answer.status} {reason}\r\n"
    return "".join((start, *headers, "\r\n")).encode("utf-8", "surrogateescape")


def _is_bodiless(answer: Response) -> bool:
    return answer.status in (204, 304) or answer.status < 200


class PiecesHead(NamedTuple):
    """What is written before the second piece of an answer in pieces."""

    written: bytes
    """Head and first piece; nothing for an answer with a field that cannot be written."""
    chunked: bool = False
    """Whether the pieces are chunks."""
    bodiless: bool = True
    """Whether there is no body, by the status or since the client asked for the head alone."""
    ends_itself: bool = False
    """Whether a client can tell the end of the body without the end of the connection."""


def head_of_pieces(answer: Response, request: AnsweredRequest, stays: bool) -> PiecesHead:
    """The head of an answer whose body comes in pieces, and its first piece."""
    others = tuple(field for field in answer.headers if field[0].lower() != "transfer-encoding")
    sized = any(name.lower() == "content-length" for name, _ in others)
    if not sized:
        others = (*others, ("Transfer-Encoding", "chunked"))
    chunked = not sized and request.version >= (1, 1)
    ends_itself = sized or chunked
    bodiless = request.method == "HEAD" or _is_bodiless(answer)
    bare = msgspec.structs.replace(answer, headers=others)
    try:
        head = _head(bare, request, stays and ends_itself, None)
    except ValueError:
        return PiecesHead(b"")
    if bodiless:
        return PiecesHead(head, ends_itself=True)
    first = chunk(answer.body) if chunked else answer.body
    return PiecesHead(head + first, chunked, False, ends_itself)


def chunk(data: bytes, *, last: bool = False) -> bytes:
    """A piece of a body as a chunk, none of nothing; with the end behind it if it is the last."""
    written = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return written + b"0\r\n\r\n" if last else written


def _without_guesses(headers: list[str]) -> list[str]:
    """Without the mark of chunks, and without the type that aiohttp sets after it."""
    mark = next(i for i, line in enumerate(headers) if line.lower() == _CHUNKED)
    return headers[:mark] + [h for h in headers[mark + 1 :] if h.lower() != _GUESSED]


class _HeadFields(NamedTuple):
    lines: tuple[str, ...]
    names: frozenset[str]
    chunked: bool


@lru_cache(maxsize=256)
def _head_fields(fields: tuple[tuple[str, str], ...]) -> _HeadFields:
    """The lines of an answer's fields, their names, and whether they say that it is chunked."""
    given = {name.lower(): value for name, value in fields}
    lines = tuple(f"{name}: {value}\r\n" for name, value in fields)
    if any(_ENDS_A_LINE.search(line, 0, len(line) - 2) for line in lines):
        raise ValueError("a field holds the end of a line")
    chunked = given.get("transfer-encoding", "").lower() == "chunked"
    return _HeadFields(lines, frozenset(given), chunked)


@lru_cache(maxsize=64)
def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
