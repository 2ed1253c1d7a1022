"""bytes -> what they say when one way of writing them is undone, and where each byte of it stood.

A secret may be written with ``%73``, ``&#115;`` or an escape of JSON for one of its letters. A view
is made only of bytes that hold such an escape.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

__all__ = [
    "ESCAPES",
    "LETTERS_OF_ESCAPES",
    "Escape",
    "View",
    "form_undone",
    "holds_text",
    "percent_undone",
    "unescaped",
]


_PRINTABLE: Final = bytes(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in range(256))


def holds_text(data: bytes, size: int) -> bool:
    """Whether so many letters, digits and signs stand in a row somewhere; quick on other bytes."""
    return b"\1" * size in data.translate(_PRINTABLE)


class View:
    """Bytes with one kind of escape undone."""

    def __init__(
        self, data: bytes, escape: re.Pattern[bytes], letter: Callable[[re.Match[bytes]], bytes]
    ) -> None:
        pieces: list[bytes] = []
        self._at: list[int] = [0]  # where in the view a shift begins
        self._shift: list[int] = [0]  # how far its bytes stand behind those of the view
        end = size = 0
        for match in escape.finditer(data):
            undone = letter(match)
            pieces += (data[end : match.start()], undone)
            size += match.start() - end + len(undone)
            end = match.end()
            self._at.append(size)
            self._shift.append(end - size)
        pieces.append(data[end:])
        self.data = b"".join(pieces)
        """The bytes without escapes."""

    def back(self, start: int, stop: int) -> tuple[int, int]:
        """Where a stretch of the view stands in the bytes it was made of."""
        return self._before(start), self._before(stop)

    def _before(self, at: int) -> int:
        return at + self._shift[bisect_right(self._at, at) - 1]


class Escape:
    """One way of writing letters of ASCII."""

    def __init__(
        self,
        pattern: bytes,
        letter: Callable[[re.Match[bytes]], bytes],
        *,
        sign: bytes,
        longest: int,
    ) -> None:
        self._pattern = re.compile(pattern)
        self.letter = letter
        self._sign = sign
        self.longest = longest
        """Bytes of the longest escape."""

    def found_in(self, data: bytes) -> Iterator[re.Match[bytes]]:
        """All escapes in these bytes."""
        return self._pattern.finditer(data) if self._sign in data else iter(())

    def undone(self, data: bytes) -> View:
        """These bytes without them."""
        return View(data, self._pattern, self.letter)

    def view_of(self, data: bytes) -> View | None:
        """The same; None where there are none."""
        if self._sign not in data or self._pattern.search(data) is None:
            return None
        return self.undone(data)


_NAMED: Final = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


def _json_letter(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),)) if match[1] else b"/"


def _percent_letter(match: re.Match[bytes]) -> bytes:
    return unquote_to_bytes(match[0])


def _form_letter(match: re.Match[bytes]) -> bytes:
    return unquote_to_bytes(match[0]) if match[1] else b" "


def _entity_letter(match: re.Match[bytes]) -> bytes:
    if match[3]:
        return _NAMED[match[3]]
    code = int(match[1]) if match[1] else int(match[2], 16)
    return bytes((code,)) if code < 128 else match[0]


# The first backslash stands by itself: a pattern that begins with a letter is searched for quickly.
_JSON: Final = Escape(rb"\\\\*(?:u00([2-7][0-9a-fA-F])|/)", _json_letter, sign=b"\\", longest=10)
_PERCENT: Final = Escape(rb"%([2-7][0-9a-fA-F])", _percent_letter, sign=b"%", longest=3)
_ENTITY: Final = Escape(
    rb"&(?:#([0-9]{2,3})|#[xX]([0-9a-fA-F]{2})|(amp|lt|gt|quot|apos));",
    _entity_letter,
    sign=b"&",
    longest=6,
)
_SPACE: Final = Escape(rb"%([2-7][0-9a-fA-F])|\+", _form_letter, sign=b"+", longest=3)
ESCAPES: Final = (_JSON, _PERCENT, _ENTITY, _SPACE)
"""JSON's, that of addresses, HTML's, and last that of forms, which differs in spaces only."""
LETTERS_OF_ESCAPES: Final = b"\\u/%&#;xX+amplgtquos0123456789abcdefABCDEF"
"""All of which they are made."""

unescaped: Final = _JSON.view_of
"""Letters of ASCII that JSON escapes; None where there are none."""
percent_undone: Final = _PERCENT.view_of
"""Letters of ASCII that an address escapes; None where there are none."""


def form_undone(data: bytes) -> View | None:
    """A form read: escapes and pluses; None where there are none."""
    return _SPACE.undone(data) if b"+" in data or b"%" in data else None
