"""The texts of an object and of what is in it: of one whose name says that they are credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from comfyrec.cassette.redact.writing.open_value import QUOTE, string_end

__all__ = ["texts_in"]

_TEXTS_MAX: Final = 256
_DEPTH_MAX: Final = 6
_BETWEEN: Final = re.compile(rb"(?:[\s,]|\\[nrt])*")
_COLON: Final = re.compile(rb"\s*:\s*")
_SCALAR: Final = re.compile(rb"[\w.+\-]+")


def texts_in(data: bytes, at: int) -> Iterator[tuple[bytes, re.Match[bytes]]]:
    """The texts in an object or list that begins at ``at``, as far as it is here: the name of the
    member that each is or is in, and its opening quote."""
    depth, name = 0, b""
    for _ in range(4 * _TEXTS_MAX):
        spaces = _BETWEEN.match(data, at)
        at = spaces.end() if spaces else at
        sign = data[at : at + 1]
        if sign in (b"{", b"["):
            depth, at = depth + 1, at + 1
            if depth > _DEPTH_MAX:
                return
            continue
        if sign in (b"}", b"]"):
            depth, at = depth - 1, at + 1
            if not depth:
                return
            continue
        quote = QUOTE.match(data, at)
        if quote is None:
            scalar = _SCALAR.match(data, at)
            if scalar is None:
                return
            at = scalar.end()
            continue
        end = string_end(data, quote.end(), quote[2], len(quote[1]))
        colon = _COLON.match(data, end) if end is not None else None
        if colon:
            name, at = data[quote.end() : end].rstrip(b"\"'\\"), colon.end()
            continue
        yield name, quote
        if end is None:
            return
        at = end
