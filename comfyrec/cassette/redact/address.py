"""Addresses: parameters after ``?``, ``#`` and ``;``, logins before ``@``; fields of a form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from comfyrec.cassette.redact.rules import Place, is_secret
from comfyrec.cassette.redact.search.unescaped import percent_undone
from comfyrec.cassette.redact.spans import Found, Learn, blanked
from comfyrec.cassette.redact.values import stands_out

__all__ = ["address_found", "hide_in_url", "parameters", "userinfo"]

_PARAMETER: Final = re.compile(rb"(?<![^?&;#])([^=&;?#\s\"'<>/]{1,200})=([^&;\s\"'<>\\#]*)")
_USERINFO: Final = re.compile(rb"://([^/\s\"'@\\?#]{1,512})@")
_SIGNED: Final = re.compile(
    rb"(?i)[?&](?:sig|signature|x-amz-signature|x-goog-signature)=", re.ASCII
)
_EXPIRES: Final = b"expires"


def parameters(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Found]:
    """Secret values of parameters, from a name at ``start`` on, as long as others follow."""
    end = len(data) if stop is None else stop
    signed: bool | None = None
    match = _PARAMETER.match(data, start, end)
    while match:
        written = match[1].removeprefix(b"amp;")
        name = _undone(written).decode("utf-8", "replace")
        value = _undone(match[2])
        if is_secret(name, value, Place.QUERY):
            yield Found(*match.span(2))
        elif name.lower().encode() == _EXPIRES and value:
            signed = _SIGNED.search(data, 0, end) is not None if signed is None else signed
            if signed:
                yield Found(*match.span(2), Learn.NEVER)
        at = match.end()
        signs = _NEXT.match(data, at, end)  # an empty parameter between two is passed over
        match = _PARAMETER.match(data, signs.end(), end) if signs else None


_NEXT: Final = re.compile(rb"[&;#?]+")


def _undone(data: bytes) -> bytes:
    view = percent_undone(data)
    return data if view is None else view.data


def userinfo(data: bytes, at: int) -> Iterator[Found]:
    """The login of an address whose ``://`` stands at ``at``; ``git@`` is none."""
    match = _USERINFO.match(data, at)
    if match and (b":" in match[1] or stands_out(match[1])):
        yield Found(*match.span(1), Learn.IF_DISTINCTIVE)


def address_found(data: bytes) -> list[Found]:
    """All that is secret in one address, or in a line with addresses in it."""
    found: list[Found] = []
    for at in _starts(data):
        found += parameters(data, at)
    at = data.find(b"://")
    while at >= 0:
        found += userinfo(data, at)
        at = data.find(b"://", at + 3)
    view = percent_undone(data)
    if view is not None:
        nested = [f for at in _starts(view.data) for f in parameters(view.data, at)]
        found += [Found(*view.back(f.start, f.stop), f.learn) for f in nested if f.stop > f.start]
    return found


def _starts(data: bytes) -> Iterator[int]:
    for sign in (b"?", b"#", b";"):
        at = data.find(sign)
        while at >= 0:
            yield at + 1
            at = data.find(sign, at + 1)


def hide_in_url(url: str) -> str:
    """A URL without user, password and tokens, for showing and storing."""
    data = url.encode("utf-8", "replace")
    return blanked(data, address_found(data))[0].decode("utf-8", "replace")
