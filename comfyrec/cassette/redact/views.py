"""bytes -> what they say when one way of writing them is undone, and where each byte of it stood.

A secret may be written as ``\\u0073k-``, ``%73k-`` or ``&#115;k-``: the same letters to whoever
reads them. A view is made only of bytes that hold such an escape.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

__all__ = ["View", "entities_undone", "form_undone", "percent_undone", "unescaped", "views"]

_JSON_ESCAPE: Final = re.compile(rb"\\+(?:u00([2-7][0-9a-fA-F])|/)")
_PERCENT: Final = re.compile(rb"%([2-7][0-9a-fA-F])")
_PERCENT_OR_PLUS: Final = re.compile(rb"%([2-7][0-9a-fA-F])|\+")
_ENTITY: Final = re.compile(rb"&(?:#([0-9]{2,3})|#[xX]([0-9a-fA-F]{2})|(amp|lt|gt|quot|apos));")
_NAMED: Final = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


class View:
    """Bytes with one kind of escape undone."""

    def __init__(
        self, data: bytes, escape: re.Pattern[bytes], undone: Callable[[re.Match[bytes]], bytes]
    ) -> None:
        pieces: list[bytes] = []
        self._at: list[int] = [0]  # where in the view a shift begins
        self._shift: list[int] = [0]  # how far its bytes stand behind those of the view
        end = size = 0
        for match in escape.finditer(data):
            letter = undone(match)
            pieces += (data[end : match.start()], letter)
            size += match.start() - end + len(letter)
            end = match.end()
            self._at.append(size)
            self._shift.append(end - size)
        pieces.append(data[end:])
        self.data = b"".join(pieces)
        """The bytes without escapes."""

    def back(self, start: int, stop: int) -> tuple[int, int]:
        """Where a stretch of the view, one byte at least, stands in the bytes it was made of."""
        return self._begin(start), self._end(stop)

    def _begin(self, at: int) -> int:
        return at + self._shift[bisect_right(self._at, at) - 1]

    def _end(self, at: int) -> int:
        # The last byte of the stretch may be an escape: up to where the next byte begins.
        return at + self._shift[bisect_right(self._at, at) - 1]


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


def unescaped(data: bytes) -> View | None:
    """Letters of ASCII that JSON escapes; None where there are none."""
    if b"\\" not in data or _JSON_ESCAPE.search(data) is None:
        return None
    return View(data, _JSON_ESCAPE, _json_letter)


def percent_undone(data: bytes) -> View | None:
    """Letters of ASCII that an address escapes; None where there are none."""
    if b"%" not in data or _PERCENT.search(data) is None:
        return None
    return View(data, _PERCENT, _percent_letter)


def entities_undone(data: bytes) -> View | None:
    """Letters of ASCII that HTML escapes; None where there are none."""
    if b"&" not in data or _ENTITY.search(data) is None:
        return None
    return View(data, _ENTITY, _entity_letter)


def form_undone(data: bytes) -> View | None:
    """A form read: escapes and pluses; None where there are none."""
    if b"+" not in data and b"%" not in data:
        return None
    return View(data, _PERCENT_OR_PLUS, _form_letter)


def views(data: bytes, *, of_form: bool = False) -> Iterator[View]:
    """All that these bytes may also say.

    Args:
        of_form: a plus stands for a space.
    """
    for make in (unescaped, entities_undone):
        view = make(data)
        if view is not None:
            yield view
    view = form_undone(data) if of_form else percent_undone(data)
    if view is not None:
        yield view
