"""Pictures: the readable parts of their bytes, and PNG chunks that stay valid."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["PNG", "mend_png", "packed_texts", "readable_parts"]

PNG: Final = b"\x89PNG\r\n\x1a\n"


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """(start of the type, length) of each chunk, as far as they are whole."""
    at = data.find(PNG)
    at = at + len(PNG) if at >= 0 else len(data)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            return
        yield at + 4, length
        at += 12 + length


def mend_png(before: bytes, after: bytes) -> bytes:
    """Make the checksums of changed PNG chunks right again, so that the picture still opens."""
    out = bytearray(after)
    for at, length in _chunks(before):
        end = at + 4 + length
        if before[at:end] != after[at:end]:
            out[end : end + 4] = zlib.crc32(after[at:end]).to_bytes(4, "big")
    return bytes(out)


def packed_texts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Deflated text chunks of a PNG: (start, end of their packed bytes, the text)."""
    for at, length in _chunks(data):
        kind, body = data[at : at + 4], data[at + 4 : at + 4 + length]
        if kind == b"zTXt":
            packed = body.find(b"\0") + 2
        elif kind == b"iTXt" and b"\0\1\0" in body[:83]:
            packed = body.find(b"\0\1\0") + 3
            packed = body.find(b"\0", body.find(b"\0", packed) + 1) + 1
        else:
            continue
        try:
            text = zlib.decompressobj().decompress(body[packed:], 1 << 20)
        except zlib.error:
            continue
        yield at + 4 + packed, at + 4 + length, text


def readable_parts(data: bytes) -> bytes:
    """The part of a body where a name could be read: pictures without their pixels."""
    start = data[:64]
    if PNG in start:
        return b"\n".join(
            data[at : at + 4 + length] for at, length in _chunks(data)
            if data[at : at + 4] != b"IDAT"
        )  # fmt: skip
    if b"\xff\xd8\xff" in start:
        pixels = data.find(b"\xff\xda")
        return data[:pixels] if pixels >= 0 else data
    return data
