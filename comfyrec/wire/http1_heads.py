"""The head of one HTTP/1.1 message, whole -> what it says.

Sources: RFC 9112 (syntax and framing, sections 2, 3, 5 and 6), RFC 9110 section 7.8 (Upgrade).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["RequestHead", "ResponseHead", "field_values", "request_facts", "response_facts"]

HEAD_MAX: Final = 64 * 1024
"""Bytes of one head or one trailer section; aiohttp, ComfyUI's server, takes 8 KiB a line."""
FIELDS_MAX: Final = 256
"""Header lines of one head; twice what aiohttp and Apache take."""
CHUNK_LINE_MAX: Final = 4096
"""Bytes of one chunk size line with its extensions."""
METHOD_MAX: Final = 20
"""Bytes of a method name; the longest registered one, BASELINE-CONTROL, has 16."""
MEMOS_MAX: Final = 256
"""Heads whose reading is remembered, over all connections."""
MEMO_BYTES_MAX: Final = 2048
"""Longer heads are read anew each time."""
SIZE_DIGITS_MAX: Final = 18
"""Decimal digits of a Content-Length: below 2^63, the largest that every language can count."""

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(%s) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n" % TOKEN)
REQUEST_FIELDS = re.compile(rb"(?:%s:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n" % TOKEN)
METHOD = re.compile(TOKEN)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
RESPONSE_FIELDS = re.compile(rb"(?:[^\r\n:\x20\x09][^\r\n:]*+:[^\r\n]*+\r\n)*+\r\n")
STRICT_CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;%s(?:=(?:%s|\"[\x20\x21\x23-\x5b\x5d-\x7e]*\"))?)*" % (TOKEN, TOKEN)
)
LENIENT_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """The start line and fields of a request, through the blank line, as sent."""

    raw: bytes
    at: int
    """Where ``raw`` begins in ``onward`` of the same ``feed``."""
    method: bytes
    target: bytes
    size: int | None
    """Bytes of the body; None when it is chunked."""
    upgrade: bytes = b""
    """The protocol asked for, lower case, when ``Connection`` says so too."""
    closes: bool = False
    """True: the client wants the connection to end with the answer."""


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """The status line and fields of a response, through the blank line, as sent."""

    raw: bytes
    status: int
    size: int | None
    """Bytes of the body; None when it is chunked or ends with the connection."""
    request: int
    """Which request it answers: a number that ``ResponseReader.expect`` gave out."""

    @property
    def interim(self) -> bool:
        """True for 1xx other than 101: another head of the same answer follows."""
        return self.status < 200 and self.status != 101


class ProtocolError(Exception):
    """What is broken about a head or a body, and the status to refuse it with."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why, self.status = why, status


def field_values(lower_head: bytes, name: bytes) -> list[bytes]:
    """The values of a header field in a head that was made lower case; ``name`` likewise."""
    found = []
    mark = b"\r\n" + name + b":"
    at = lower_head.find(mark)
    while at >= 0:
        begin = at + len(mark)
        at = lower_head.find(b"\r\n", begin)
        found.append(lower_head[begin:at].strip(b" \t"))
        at = lower_head.find(mark, at)
    return found


def tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip(b" \t") for value in values for token in value.split(b",")]


def content_length(values: list[bytes]) -> int:
    (value,) = values
    if not value.isdigit():
        raise ProtocolError("the Content-Length is not a number")
    if len(value) > SIZE_DIGITS_MAX:
        raise ProtocolError("the Content-Length is beyond all bounds", 413)
    return int(value)


@lru_cache(maxsize=MEMOS_MAX)
def request_facts(raw: bytes) -> RequestHead:
    """What a whole head says. A client repeats its heads."""
    first = REQUEST_LINE.match(raw)
    if first is None:
        raise bad_request_line(raw[: raw.find(b"\n") + 1])
    if REQUEST_FIELDS.fullmatch(raw, first.end()) is None:
        raise _bad_field(raw[first.end() :])
    if raw.count(b"\r\n") > FIELDS_MAX + 2:
        raise ProtocolError(f"more than {FIELDS_MAX} header lines", 431)
    method, target, minor = first.groups()
    if method == b"CONNECT":
        raise ProtocolError("CONNECT is not passed on: this relay has one upstream only", 501)
    lower = raw.lower()
    hosts = lower.count(b"\r\nhost:")
    if hosts != 1 and (hosts or minor == b"1"):
        raise ProtocolError(f"{hosts} Host fields instead of one")
    options = _options(lower)
    upgrade = b", ".join(field_values(lower, b"upgrade")) if b"upgrade" in options else b""
    # RFC 9112 section 9.3: HTTP/1.0 goes on only when it says so.
    closes = b"close" in options or (minor == b"0" and b"keep-alive" not in options)
    return RequestHead(raw, 0, method, target, _request_size(lower, minor), upgrade, closes)


def _options(lower: bytes) -> list[bytes]:
    if b"\r\nconnection:" not in lower:
        return []
    return tokens(field_values(lower, b"connection"))


def _request_size(lower: bytes, minor: bytes) -> int | None:
    if b"\r\ncontent-length:" not in lower and b"\r\ntransfer-encoding:" not in lower:
        return 0
    lengths = field_values(lower, b"content-length")
    codings = field_values(lower, b"transfer-encoding")
    if codings:
        if lengths:
            raise ProtocolError("Content-Length and Transfer-Encoding in one request")
        if len(codings) > 1 or minor == b"0":
            raise ProtocolError("Transfer-Encoding twice, or in HTTP/1.0")
        if codings[0] != b"chunked":
            raise ProtocolError(f"the transfer coding {named(codings[0])} is not known here", 501)
        return None
    if len(lengths) > 1:
        raise ProtocolError("more than one Content-Length")
    return content_length(lengths)


def could_be_request(line: bytes) -> bool:
    """Whether a beginning without a line end may still become a request line."""
    method = line.partition(b" ")[0]
    return line == b"\r" or (len(method) <= METHOD_MAX and METHOD.fullmatch(method) is not None)


def bad_request_line(line: bytes) -> ProtocolError:
    if line.startswith(b"\x16\x03"):
        return ProtocolError("the client speaks TLS; this address is plain: use http:// and ws://")
    version = re.fullmatch(rb"\S+ \S+ HTTP/([0-9.]{1,9})\r?\n", line)
    if version:
        if not line.endswith(b"\r\n"):
            return ProtocolError("the request line ends without a carriage return")
        if version[1] not in (b"1.0", b"1.1"):
            spoken = version[1].decode()
            return ProtocolError(f"only HTTP/1.1 and 1.0 are spoken here, not {spoken}", 505)
    return ProtocolError("not an HTTP request: its first line is not one of HTTP/1.1")


def _bad_field(fields: bytes) -> ProtocolError:
    """What is wrong with a head. What stands in it is not said: it may be a key, and this sentence
    is shown and recorded."""
    for number, line in enumerate(fields.split(b"\r\n"), 2):
        if line and REQUEST_FIELDS.fullmatch(line + b"\r\n\r\n") is None:
            what = (
                "goes on with the one before it" if line[:1] in b" \t" else "is not a header field"
            )
            return ProtocolError(f"line {number} of the head {what}")
    return ProtocolError("no header lines")


_NAMES_TO_SAY: Final = frozenset(
    (b"h2c", b"h2", b"http/2.0", b"websocket", b"gzip", b"deflate", b"compress", b"br", b"zstd")
)


def named(word: bytes) -> str:
    """A protocol or coding by its name, if it is one that is known to be no secret."""
    return word.decode() if word in _NAMES_TO_SAY else "another name"


@lru_cache(maxsize=MEMOS_MAX)
def response_facts(raw: bytes) -> tuple[int, int | None, bool, str]:
    """(status, size, chunked, why its body has no clear end) of a whole head."""
    first = STATUS_LINE.match(raw)
    if first is None or RESPONSE_FIELDS.fullmatch(raw, first.end()) is None:
        raise ProtocolError("an answer whose head is none of HTTP")
    status, lower = int(first[2]), raw.lower()
    lengths = field_values(lower, b"content-length")
    codings = tokens(field_values(lower, b"transfer-encoding"))
    if codings and lengths:
        return status, None, False, "Content-Length and Transfer-Encoding in one answer"
    if len(set(lengths)) > 1:
        return status, None, False, "different Content-Lengths in one answer"
    try:
        size = content_length(lengths[:1]) if lengths else None
    except ProtocolError as error:
        return status, None, False, error.why
    return status, size, codings[-1:] == [b"chunked"], ""
