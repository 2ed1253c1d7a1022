"""The start line and fields of an HTTP message -> where secrets stand in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from comfyrec.cassette.redact.address import address_found
from comfyrec.cassette.redact.rules import (
    STARTS,
    WAKE,
    Place,
    is_secret,
    need_of,
    told_by_name,
)
from comfyrec.cassette.redact.search.unescaped import percent_undone
from comfyrec.cassette.redact.spans import Found, Learn
from comfyrec.cassette.redact.text import TextWalk, found_in
from comfyrec.cassette.redact.values import UUID, is_nothing, is_random, stands_out

__all__ = ["doubtful_fields", "fields_found", "head_found"]

# A field may go on in lines that begin with a space (RFC 9112 section 5.2); we refuse such heads,
# and what is refused is recorded.
_FIELD: Final = re.compile(
    rb"(?m)^[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128})[ \t]*:[ \t]*"
    rb"([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
)
_SCHEME: Final = re.compile(rb"[A-Za-z][\w-]*[ \t\r\n]+(?=\S)")
_QUOTED_PARAMETER: Final = re.compile(rb"([\w-]+)[ ]*=[ ]*(?:\"([^\"]*)\"|([^\",\s]+))")
_OPEN_PARAMETERS: Final = frozenset(
    b"realm charset algorithm qop stale error error_description scope title domain rspauth nc "
    b"resource_metadata error_uri authorization_uri".split()
)
"""Of a challenge: what a client must know and what is not a credential."""
_CHALLENGES: Final = (
    b"www-authenticate",
    b"proxy-authenticate",
    b"authentication-info",
    b"proxy-authentication-info",
)
_ADDRESSES: Final = frozenset(
    (b"location", b"content-location", b"referer", b"origin", b"link", b"refresh", b"destination")
)
_DATES: Final = frozenset((b"date", b"expires", b"last-modified", b"if-modified-since"))

_NAME_WORD: Final = re.compile(rb"[a-z0-9]+")
_NO_CREDENTIALS: Final = frozenset(
    b"accept address age alt b3 boundary check checksum content control cookie date digest "
    b"disposition etag expires hash last link location match md5 modified nel policy range ray "
    b"refresh referer report request revision route sec security sha sha1 sha256 span start time "
    b"timestamp timing trace traceparent tracestate version vary websocket".split()
)
"""Words in the names of fields with values that look made up but are not credentials, or that
have rules of their own; so are those that end in ``id``."""

_ITEM: Final = re.compile(rb"[^,\s]+")
_NAMED_ITEM: Final = re.compile(
    rb"(?i)(?:[a-z0-9]*[.\-_:])*(?:bearer|token|auth|authorization|jwt|key)"
    rb"(?:[.\-_:=][a-z0-9.]*?)??[.\-_:=](?=[\w\-.~+/=]{8,}$)"
)
_NAMING_ITEM: Final = re.compile(
    rb"(?i)bearer|jwt|secret|password|auth|(?:access|auth|api|x)?[-_.]?(?:token|key|authorization)"
)
_ITEM_BYTES_MIN: Final = 20


def head_found(head: bytes) -> list[Found]:
    """Where the secrets stand in a start line with header fields, in trailers, or in what was meant
    to be either."""
    line_end = head.find(b"\n")
    line = head if line_end < 0 else head[:line_end]
    found = [] if _FIELD.match(line) else address_found(line)
    view = percent_undone(line)
    found += found_in(view) if view is not None else ()
    found += _shapes(head)
    for field in _FIELD.finditer(head):
        at = field.start(2)
        value = field[2]
        found += [
            Found(at + start, at + stop, learn) for start, stop, learn in _in_field(field[1], value)
        ]
    return found


def fields_found(head: bytes, names: Collection[bytes]) -> list[Found]:
    """Where the values of fields with these names (in lower case) stand."""
    return [
        Found(*field.span(2), Learn.IF_DISTINCTIVE)
        for field in _FIELD.finditer(head)
        if field[1].lower() in names and not is_nothing(field[2])
    ]


def doubtful_fields(head: bytes) -> Iterator[str]:
    """The names of fields that no rule knows and whose values no person would have written.

    They may be credentials of a gateway or an extension; whoever made the recording knows.
    """
    for field in _FIELD.finditer(head):
        name, value = field[1].decode("latin-1"), field[2].strip()
        words = _NAME_WORD.findall(field[1].lower())
        if any(word.endswith(b"id") or word in _NO_CREDENTIALS for word in words):
            continue
        if need_of(name, Place.HEADER) is not None:
            continue
        if told_by_name(name, Place.HEADER) or not is_random(value) or UUID.fullmatch(value):
            continue
        yield name


def _shapes(head: bytes) -> list[Found]:
    """Keys of well-known services, wherever they stand."""
    lowered = head.lower()
    if not any(literal in STARTS for _, literal in WAKE.all_in(lowered)):
        return []
    return [found for found in TextWalk().feed(head) if found.learn is Learn.IF_DISTINCTIVE]


def _in_field(name: bytes, value: bytes) -> Iterator[Found]:
    written, name = name.decode("latin-1"), name.lower()
    if name == b"sec-websocket-protocol":
        yield from _protocols(value)
    elif name in (b"cookie", b"set-cookie"):
        yield from _cookies(value, first_only=name == b"set-cookie")
    elif name in _CHALLENGES:
        yield from _challenge(value)
    elif name in _ADDRESSES:
        yield from address_found(value)
    elif name in _DATES:
        return
    elif need_of(written, Place.HEADER) is not None:
        scheme = _SCHEME.match(value) if b"authorization" in name else None
        begin = scheme.end() if scheme else 0
        if is_secret(written, value[begin:], Place.HEADER):
            yield Found(begin, len(value), Learn.IF_DISTINCTIVE)
    else:
        yield from address_found(value) if b"=" in value or b"://" in value else ()
        if b":" in value or b"=" in value:
            yield from TextWalk().feed(value)


def _cookies(value: bytes, *, first_only: bool) -> Iterator[Found]:
    """Every cookie is taken out; only those of sessions are looked for elsewhere."""
    at = 0
    for cookie in value.split(b";"):
        name, sign, content = cookie.partition(b"=")
        begin = at + len(name) + len(sign) if sign else at + len(cookie) - len(cookie.lstrip())
        written = name.strip().decode("latin-1") if sign else "session"
        of_session = need_of(written, Place.COOKIE) is not None or is_random(content.strip())
        yield Found(begin, at + len(cookie), Learn.IF_DISTINCTIVE if of_session else Learn.NEVER)
        at += len(cookie) + 1
        if first_only:
            return


def _challenge(value: bytes) -> Iterator[Found]:
    for match in _QUOTED_PARAMETER.finditer(value):
        span = match.span(2) if match[2] is not None else match.span(3)
        content = value[span[0] : span[1]]
        if match[1].lower() not in _OPEN_PARAMETERS:
            if not is_nothing(content):
                yield Found(*span)
        elif is_random(content):
            yield Found(*span)


def _protocols(value: bytes) -> Iterator[Found]:
    """Tokens that clients smuggle through the one header that a browser's WebSocket can set."""
    after_name = False
    for match in _ITEM.finditer(value):
        item, start = match[0], match.start()
        named = _NAMED_ITEM.match(item)
        if named:
            yield Found(start + named.end(), match.end(), Learn.IF_DISTINCTIVE)
        elif after_name or (len(item) >= _ITEM_BYTES_MIN and stands_out(item)):
            yield Found(*match.span(), Learn.IF_DISTINCTIVE)
        after_name = _NAMING_ITEM.fullmatch(item) is not None
