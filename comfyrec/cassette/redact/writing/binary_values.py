"""Texts behind a name in binary encodings: where the text begins, by the bytes that say its size.

MessagePack, CBOR, Protocol Buffers (a map or a pair of name and value), BSON and pickle write the
size of a text in front of it. What is found so has its exact size, and stays readable when blanked.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIRST_BYTES", "text_behind"]

_TEXT_BYTES_MAX: Final = 16384
_FIXED: Final = range(0xA1, 0xC0)
_SIZED: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4}
"""MessagePack: str and bin with so many bytes of size."""
_SECOND_FIELD: Final = 0x12
_MEMO: Final = 0x94
_SHORT_TEXT: Final = 0x8C
_CBOR_SIZED: Final = {0x78: 1, 0x79: 2}
"""These are the letters x and y, so they seem to belong to the name."""

FIRST_BYTES: Final = frozenset(
    bytes((one,)) for one in (*_FIXED, *_SIZED, _SECOND_FIELD, _MEMO, _SHORT_TEXT, 0)
)
"""What can follow a name, but for CBOR."""


def text_behind(data: bytes, start: int, stop: int) -> tuple[int, int, int] | None:
    """Where a name really ends, and where the text behind it begins and ends; None for no text.

    Args:
        start: where what looks like the name begins.
        stop: where it ends.
    """
    found = _cbor(data, start, stop) or _others(data, stop)
    if found is None:
        return None
    end_of_name, begin, size = found
    if not 0 < size <= _TEXT_BYTES_MAX or begin >= len(data):
        return None
    text = data[begin : begin + size]
    if not text.isascii() or not text.decode().replace("\n", "").isprintable():
        return None
    return end_of_name, begin, begin + len(text)


def _others(data: bytes, stop: int) -> tuple[int, int, int] | None:
    if stop + 1 >= len(data):
        return None
    first = data[stop]
    if first in _FIXED:
        return stop, stop + 1, first & 0x1F
    if first in _SIZED:
        width = _SIZED[first]
        begin = stop + 1 + width
        return stop, begin, int.from_bytes(data[stop + 1 : begin], "big")
    if first == _SECOND_FIELD:
        low = data[stop + 1]
        if low < 0x80:
            return stop, stop + 2, low
        high = data[stop + 2] if stop + 2 < len(data) else 0
        return stop, stop + 3, (low & 0x7F) | high << 7
    if first == _MEMO:
        stop += 1
        first = data[stop]
    if first == _SHORT_TEXT and stop + 1 < len(data):
        return stop, stop + 2, data[stop + 1]
    if first == 0:  # BSON: the end of the name, a size with the zero behind the text
        return stop, stop + 5, int.from_bytes(data[stop + 1 : stop + 5], "little") - 1
    return None


def _cbor(data: bytes, start: int, stop: int) -> tuple[int, int, int] | None:
    """The first letter says how long the name is, so it is known for certain that it is none."""
    width = _CBOR_SIZED.get(data[stop - 1]) if stop > start else None
    if width is None or data[start] != 0x60 + (stop - start - 2):
        return None
    return stop - 1, stop + width, int.from_bytes(data[stop : stop + width], "big")
