"""Bodies under a content coding: read them, and write them anew with the same size.

A body that was sent as gzip or deflate cannot be changed in place. It is inflated, changed,
deflated again and filled up: gzip with a comment, deflate with empty blocks, so that its length
still is what Content-Length says and any client can read it.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

__all__ = ["CODINGS", "coding_of", "inflated", "inflater", "same_size"]

CODINGS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""Content codings that the standard library reads, with zlib's number for them."""

_BODY_BYTES_MAX: Final = 64 << 20
"""No body of ComfyUI inflates to more; behind it a body is not looked into."""

_CODING: Final = re.compile(rb"(?im)^content-encoding:[ \t]*([a-z-]+)[ \t]*\r?$")
_COMMENT_BIT: Final = 16
_GZIP_HEAD: Final = b"\x1f\x8b\x08%c\0\0\0\0\0\xff"
_FINAL_BLOCK: Final = b"\x03\x00"
_EMPTY_STORED: Final = b"\0\0\0\xff\xff"
# Empty blocks in more lengths: one to three with fixed codes (10 bits each), then a stored one.
_EMPTY_6: Final = b"\x02\x00\0\0\xff\xff"
_EMPTY_7: Final = b"\x02\x08\x00\0\0\xff\xff"
_EMPTY_9: Final = b"\x02\x08\x20\x00\x00\0\0\xff\xff"


def coding_of(head: bytes) -> bytes:
    """The content coding that a head names, in lower case; empty for none or several."""
    if b"ncoding" not in head:
        return b""
    match = _CODING.search(head)
    return match[1].lower() if match else b""


def inflater(coding: bytes) -> zlib._Decompress:
    """What undoes a coding of ``CODINGS`` piece by piece."""
    return zlib.decompressobj(CODINGS[coding])


def inflated(body: bytes, coding: bytes) -> bytes | None:
    """A whole body without its coding; None if it is not in that coding after all."""
    try:
        return inflater(coding).decompress(body, _BODY_BYTES_MAX)
    except zlib.error:
        return None


def same_size(data: bytes, coding: bytes, size: int) -> bytes | None:
    """``data`` under a coding, in exactly ``size`` bytes; None if it does not fit."""
    for level in (9, 6, 1):
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        raw = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
        found = _gzip(raw, data, size) if coding != b"deflate" else _zlib(raw, data, size)
        if found is not None:
            return found
    return None


def _gzip(raw: bytes, data: bytes, size: int) -> bytes | None:
    tail = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    bare = _GZIP_HEAD % 0 + raw + _FINAL_BLOCK + tail
    room = size - len(bare)
    if room == 0:
        return bare
    comment = b"x" * (room - 1) + b"\0"
    return _GZIP_HEAD % _COMMENT_BIT + comment + raw + _FINAL_BLOCK + tail if room > 0 else None


def _zlib(raw: bytes, data: bytes, size: int) -> bytes | None:
    tail = zlib.adler32(data).to_bytes(4, "big")
    room = size - len(raw) - len(tail) - len(_FINAL_BLOCK) - 2
    filling = _filling(room)
    return None if filling is None else b"\x78\x9c" + raw + filling + _FINAL_BLOCK + tail


def _filling(room: int) -> bytes | None:
    """Empty blocks of together this many bytes."""
    for odd in (b"", _EMPTY_6, _EMPTY_7, _EMPTY_6 + _EMPTY_7, _EMPTY_9):
        rest = room - len(odd)
        if rest >= 0 and rest % len(_EMPTY_STORED) == 0:
            return odd + _EMPTY_STORED * (rest // len(_EMPTY_STORED))
    return None
