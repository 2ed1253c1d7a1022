"""Bodies under a content coding: read them, and write them anew with the same size.

A body that was sent as gzip, deflate or zstd cannot be changed in place. It is unpacked, changed,
packed again and filled up: gzip with a comment, deflate and brotli with empty blocks, zstd with a
frame to be skipped, so that its length still is what Content-Length says and any client can read
it. Brotli is read where the package ``brotli`` is installed (``comfyrec[brotli]``).
"""

from __future__ import annotations

import importlib
import re
import zlib
from functools import lru_cache
from typing import Any, Final

from comfyrec.cassette.packed.zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

__all__ = ["Decoder", "coding_of", "decoded", "is_readable", "same_size"]

_READABLE: Final = frozenset((b"gzip", b"x-gzip", b"deflate", b"zstd"))
_BROTLI: Final = b"br"
_PLAIN: Final = frozenset((b"identity", b"chunked", b""))

_BODY_BYTES_MAX: Final = 64 << 20
"""No body of ComfyUI unpacks to more; behind it a body is not looked into."""

_CODING: Final = re.compile(rb"(?im)^(?:content|transfer)-encoding[ \t]*:[ \t]*([^\r\n]*)")
_COMMENT_BIT: Final = 16
_GZIP_HEAD: Final = b"\x1f\x8b\x08%c\0\0\0\0\0\xff"
_FINAL_BLOCK: Final = b"\x03\x00"
_EMPTY_STORED: Final = b"\0\0\0\xff\xff"
# Empty blocks in more lengths: one to three with fixed codes (10 bits each), then a stored one.
_EMPTY_6: Final = b"\x02\x00\0\0\xff\xff"
_EMPTY_7: Final = b"\x02\x08\x00\0\0\xff\xff"
_EMPTY_9: Final = b"\x02\x08\x20\x00\x00\0\0\xff\xff"


def coding_of(head: bytes) -> bytes:
    """The content and transfer codings that a head names, in lower case and in order, but for
    chunked, which is undone in a recording; empty for none."""
    if b"ncoding" not in head and b"NCODING" not in head.upper():
        return b""
    values = [value.strip(b" \t") for match in _CODING.findall(head) for value in match.split(b",")]
    return b",".join(value for value in (v.lower() for v in values) if value not in _PLAIN)


@lru_cache(maxsize=1)
def _brotli() -> Any:
    """The package, from its first release on that bounds what comes out; None where it is not."""
    try:
        module = importlib.import_module("brotli")
    except ImportError:
        return None
    return module if hasattr(module.Decompressor, "can_accept_more_data") else None


def is_readable(coding: bytes) -> bool:
    """Whether a content coding is undone here."""
    return coding in _READABLE or (coding == _BROTLI and _brotli() is not None)


class _BrotliDecompressor:
    """What comes out of brotli, in the way of zlib."""

    unused_data = unconsumed_tail = b""

    def __init__(self) -> None:
        self._inner = _brotli().Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.is_finished())

    def decompress(self, data: bytes, size: int) -> bytes:
        try:
            return bytes(self._inner.process(data, output_buffer_limit=size))
        except _brotli().error as error:
            raise zlib.error(str(error)) from None


class Decoder:
    """Undoes a readable coding piece by piece: all members and frames, one after another.

    ``broken`` says that the bytes do not make sense, ``too_much`` that they unpack to more than is
    read; from then on nothing comes out.
    """

    def __init__(self, coding: bytes) -> None:
        self._coding = coding
        self._room = _BODY_BYTES_MAX
        self._is_first = True
        self.broken = self.too_much = False
        self._inflater = self._fresh()

    def _fresh(self) -> zlib._Decompress | ZstdDecompressor | _BrotliDecompressor:
        if self._coding == _BROTLI:
            return _BrotliDecompressor()
        if self._coding == b"zstd":
            return ZstdDecompressor()
        return zlib.decompressobj(15 if self._coding == b"deflate" else 31)

    def more(self, data: bytes) -> bytes:
        """What these bytes add to the text."""
        out: list[bytes] = []
        while not (self.broken or self.too_much):
            piece, data = self._step(data)
            out.append(piece)
            self._room -= len(piece)
            self.too_much = self._room <= 0
            if not data and not piece:
                break
        return b"".join(out)

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """One piece of text, and what is left of the bytes."""
        inflater = self._inflater
        if inflater.eof:
            data = inflater.unused_data.lstrip(b"\0") + data
            if not data:
                return b"", b""
            self._inflater = inflater = self._fresh()
        try:
            piece = inflater.decompress(data, _STEP_BYTES)
        except (zlib.error, ZstdError):
            return self._other_deflate(data)
        self._is_first = False
        rest = b"" if isinstance(inflater, ZstdDecompressor) else inflater.unconsumed_tail
        return piece, rest

    def _other_deflate(self, data: bytes) -> tuple[bytes, bytes]:
        """Some servers send bare deflate under that name."""
        if self._coding == b"deflate" and self._is_first:
            self._is_first, self._inflater = False, zlib.decompressobj(-15)
            return self._step(data)
        self.broken = True
        return b"", b""


_STEP_BYTES: Final = 1 << 20


def decoded(body: bytes, coding: bytes) -> bytes | None:
    """A whole body without its coding; None if it is not in that coding after all."""
    if not is_readable(coding):
        return None
    decoder = Decoder(coding)
    text = decoder.more(body)
    return None if decoder.broken or decoder.too_much else text


def same_size(data: bytes, coding: bytes, size: int) -> bytes | None:
    """``data`` under a coding, in exactly ``size`` bytes; None if it does not fit."""
    if coding == b"zstd":
        return _zstd(data, size)
    if coding == _BROTLI:
        return _brotli_of(data, size)
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


_SKIPPABLE: Final = b"\x50\x2a\x4d\x18"
"""The mark of a frame that readers pass over (RFC 8878 section 3.1.2)."""


def _zstd(data: bytes, size: int) -> bytes | None:
    for level in (19, 9, 3, 1):
        packer = ZstdCompressor(level)
        packed = packer.compress(data) + packer.flush()
        room = size - len(packed) - len(_SKIPPABLE) - 4
        if room == -len(_SKIPPABLE) - 4:
            return packed
        if room >= 0:
            return packed + _SKIPPABLE + room.to_bytes(4, "little") + bytes(room)
    return None


# Blocks of brotli without content (RFC 7932 section 9.2): one of metadata, and the last one.
_NO_METADATA: Final = b"\x06"
_LAST: Final = b"\x03"


def _brotli_of(data: bytes, size: int) -> bytes | None:
    for quality in (11, 6):
        packer = _brotli().Compressor(quality=quality)
        packed: bytes = packer.process(data) + packer.flush()
        room = size - len(packed) - len(_LAST)
        if room >= 0:
            return packed + _NO_METADATA * room + _LAST
    return None
