"""The few shapes of the protocol buffer encoding that a trace needs.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct

__all__ = ["double", "integer", "message", "text"]

_VARINT, _FIXED64, _LENGTH = 0, 1, 2


def integer(field: int, value: int) -> bytes:
    """A field of an unsigned integer, an enum or a boolean."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def double(field: int, value: float) -> bytes:
    """A field of a double."""
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)


def text(field: int, value: str) -> bytes:
    """A field of text; what is not UTF-8 is replaced."""
    return message(field, value.encode("utf-8", "replace"))


def message(field: int, *parts: bytes) -> bytes:
    """A field of a message, made of its fields."""
    body = b"".join(parts)
    return _varint(field << 3 | _LENGTH) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
