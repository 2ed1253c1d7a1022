"""Plain HTTP requests: bytes -> what was asked, at once; what is not plain is left alone.

Most requests are plain: HTTP/1.1, an ordinary target, a short head of ordinary fields that come
once each, and a body of a known, small size or none. There is one way to read those, whoever does
it. Everything else, from chunks and upgrades to what is not HTTP, is for a whole parser.

RFC 9112, sections 2 to 6, of which this is a narrow part.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["BODY_MAX", "HEAD_MAX", "RequestHead", "parse_head"]

HEAD_MAX: Final = 4_096
"""Bytes of a head that is taken for plain."""
FIELDS_MAX: Final = 128
"""As aiohttp has it; more are refused."""
BODY_MAX: Final = 65_536
"""Bytes of a body that is waited for; bigger ones are read in pieces."""
_END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(
    r"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) "
    r"(/(?!/)(?:[A-Za-z0-9/._~?=&+,:;@!$'()*-]|%[0-9A-Fa-f]{2})*) HTTP/1\.1"
)
_FIELDS: Final = re.compile(r"(?:[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n)*")
_FIELD: Final = re.compile(r"([A-Za-z0-9-]+): ([^\r]*)\r\n")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,6}")
_ODD: Final = frozenset({
    "content-encoding", "expect", "http2-settings", "keep-alive", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Fields that change how a request is read or answered."""


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A plain request, up to its body."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: int
    """Where its body begins."""
    size: int
    """Bytes of head and body."""
    stays: bool
    """Whether the connection may be used again."""


class _HeaderFields(msgspec.Struct, frozen=True, gc=False):
    """What follows the first line."""

    fields: tuple[tuple[str, str], ...]
    length: int
    stays: bool


def parse_head(data: bytes) -> RequestHead | None:
    """The head that these bytes begin with; None when it is not whole, or not plain."""
    end = data.find(_END, 0, HEAD_MAX)
    if end < 0:
        return None
    first = data.find(b"\r\n")
    line, rest = _request_line(data[:first]), _header_fields(data[first + 2 : end + 2])
    if line is None or rest is None:
        return None
    body = end + len(_END)
    return RequestHead(*line, rest.fields, body, body + rest.length, rest.stays)


# Clients send the same again and again, and the same fields with ever new lines before them.


@lru_cache(maxsize=256)
def _request_line(line: bytes) -> tuple[str, str] | None:
    match = _LINE.fullmatch(line.decode("latin-1"))
    return None if match is None else (match[1], match[2])


@lru_cache(maxsize=256)
def _header_fields(lines: bytes) -> _HeaderFields | None:
    text = lines.decode("latin-1")
    if not _FIELDS.fullmatch(text):
        return None
    fields = tuple(_FIELD.findall(text))
    named = {name.lower(): value for name, value in fields}
    if len(named) != len(fields) or len(fields) > FIELDS_MAX or not _ODD.isdisjoint(named):
        return None
    if any(name.startswith("sec-websocket") for name in named):
        return None
    length, connection = named.get("content-length", "0"), named.get("connection", "")
    if not _LENGTH.fullmatch(length) or not _HOST.fullmatch(named.get("host", "")):
        return None
    if int(length) > BODY_MAX or connection.lower() not in ("", "close", "keep-alive"):
        return None
    return _HeaderFields(fields, int(length), connection.lower() != "close")
