"""Runs of records <-> the content of a block, and of the runs that stand by themselves.

A block is written with Zstandard, as one stream that is flushed behind each run: every run is a
piece with a checksum of its own packed bytes, so a block that was cut or damaged gives back all
runs before the damage, and the checksums cost next to nothing. Blocks with deflate, which hold the
checksums of the runs inside, are read as well.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

from comfyrec.cassette.packed.container import (
    BLOCK,
    BLOCK_RAW_BYTES_MAX,
    DEFLATE,
    HEAD,
    HEAD_BYTES,
    PIECE,
    RUN,
    WINDOW_BITS,
    ZSTD,
    crc32,
    decode,
    encode,
    frame,
)
from comfyrec.cassette.packed.zstandard import (
    CompressionParameter,
    DecompressionParameter,
    ZstdCompressor,
    ZstdDecompressor,
    ZstdError,
)
from comfyrec.cassette.reading import BAD_INPUT
from comfyrec.cassette.records import AnyRecord

__all__ = [
    "UNREADABLE",
    "BlockPacker",
    "ReadBudget",
    "UnreadableContent",
    "count_of_run",
    "records_before_cut",
    "records_of_block",
    "records_of_run",
    "whole_records_of_block",
]

_LEVEL: Final = -1
"""Events repeat themselves so much that level 1 gains a thousandth of their size, and level 3 half
a hundredth; this one writes and reads a tenth quicker."""
_WINDOW_LOG: Final = 18
"""256 KiB: about half a block. What a reader must hold beside a piece."""
_WINDOW_LOG_MAX: Final = 24
"""As much as the largest block, and no more for a file that asks for it."""
_PACKING: Final[dict[int, int]] = {
    CompressionParameter.compression_level: _LEVEL,
    CompressionParameter.window_log: _WINDOW_LOG,
}
_UNPACKING: Final[dict[int, int]] = {DecompressionParameter.window_log_max: _WINDOW_LOG_MAX}

_CUT_PIECE_BYTES: Final = 64
_CANNOT_BURST_BYTES: Final = BLOCK_RAW_BYTES_MAX // 1032
"""Deflate gives at most 1032 bytes for one, so these need no watching; it is quicker without."""

records_of_run: Final = msgspec.msgpack.Decoder(list[AnyRecord]).decode
"""The records of one whole run."""


class ReadBudget:
    """Bytes that a file may still make its reader produce or look through."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> None:
        """Take so many.

        Raises:
            UnreadableContent: there are not so many left.
        """
        self.left -= size
        if self.left < 0:
            raise UnreadableContent("it unpacks to more than a thousand times its size")


class UnreadableContent(Exception):
    """A frame whose checksum is right and whose content is not."""


UNREADABLE: Final = (*BAD_INPUT, zlib.error, ZstdError, EOFError, struct.error, UnreadableContent)
"""What reading the content of a frame with a right checksum can raise."""


class BlockPacker:
    """runs -> the packed content of one block after the other."""

    def __init__(self) -> None:
        self._packer = ZstdCompressor(options=_PACKING)
        self._pieces: list[bytes] = []
        self.raw_bytes = 0
        """What the block at hand unpacks to."""

    def add(self, run: list[AnyRecord], *, last: bool) -> None:
        """Put a run into the block; the last one ends the stream."""
        raw = encode(run)
        self.raw_bytes += len(raw)
        packer = self._packer
        self._pieces.append(
            packer.compress(raw, packer.FLUSH_FRAME)
            if last
            else packer.compress(raw, packer.FLUSH_BLOCK)
        )

    def take(self, salt: int) -> bytes:
        """The block at hand, behind its head; the next one begins."""
        pieces = self._pieces
        if pieces and self._packer.last_mode != self._packer.FLUSH_FRAME:
            pieces[-1] += self._packer.flush()
        self._pieces, self.raw_bytes = [], 0
        return b"".join([frame(PIECE, piece, salt) for piece in pieces])


def records_of_block(block: memoryview, budget: ReadBudget) -> list[AnyRecord]:
    """The records of a whole block.

    Raises:
        one of UNREADABLE: it is not what a writer makes.
    """
    coding, raw_size, *_ = BLOCK.unpack_from(block)
    if coding not in (DEFLATE, ZSTD) or raw_size > BLOCK_RAW_BYTES_MAX:
        raise UnreadableContent(
            f"a block of {raw_size} bytes in coding {coding} is beyond the limits"
        )
    budget.take(raw_size)
    found: list[AnyRecord] = []
    if coding == DEFLATE:
        for run, _ in _framed(RUN, memoryview(_inflated(block[BLOCK.size :], raw_size))):
            found += records_of_run(run)
        return found
    unpack = ZstdDecompressor(options=_UNPACKING).decompress
    left = raw_size
    for piece, _ in _framed(PIECE, block[BLOCK.size :]):
        raw = unpack(piece, left + 1)
        left -= len(raw)
        if left < 0:
            break
        found += records_of_run(raw)
    if left:
        raise UnreadableContent("a block does not unpack to the size that it names")
    return found


def whole_records_of_block(block: memoryview, salt: int) -> list[AnyRecord]:
    """The records of a damaged or cut block, up to the first run that does not fit."""
    found: list[AnyRecord] = []
    runs = _deflated_runs if block[:1] == bytes((DEFLATE,)) else _zstd_runs
    try:
        for run in runs(block[BLOCK.size :], salt):
            found += records_of_run(run)
    except UNREADABLE:
        return found
    return found


def _framed(kind: int, data: memoryview) -> Iterator[tuple[memoryview, int]]:
    """The frames of one kind that follow each other, with their checksums."""
    at = 0
    while at + HEAD_BYTES <= len(data):
        found, length, check = HEAD.unpack_from(data, at)
        start = at + HEAD_BYTES
        if found != kind or start + length > len(data):
            return
        at = start + length
        yield data[start:at], check


def _zstd_runs(data: memoryview, salt: int) -> Iterator[bytes]:
    unpack = ZstdDecompressor(options=_UNPACKING).decompress
    left = BLOCK_RAW_BYTES_MAX
    for piece, check in _framed(PIECE, data):
        if crc32(piece, salt ^ PIECE) != check:
            return
        raw = unpack(piece, left + 1)
        left -= len(raw)
        if left < 0:
            return
        yield raw


def _deflated_runs(data: memoryview, salt: int) -> Iterator[memoryview]:
    for run, check in _framed(RUN, memoryview(_inflated_as_far_as_it_goes(data))):
        if crc32(run, salt ^ RUN) != check:
            return
        yield run


def _inflated(packed: memoryview, raw_size: int) -> bytes:
    if len(packed) <= _CANNOT_BURST_BYTES:
        raw = zlib.decompress(packed, WINDOW_BITS, raw_size)
    else:
        raw = zlib.decompressobj(WINDOW_BITS).decompress(packed, raw_size + 1)
    if len(raw) != raw_size:
        raise UnreadableContent("a block does not unpack to the size that it names")
    return raw


def _inflated_as_far_as_it_goes(packed: memoryview) -> bytes:
    inflater = zlib.decompressobj(WINDOW_BITS)
    raw = bytearray()
    for at in range(0, len(packed), _CUT_PIECE_BYTES):
        try:
            raw += inflater.decompress(packed[at : at + _CUT_PIECE_BYTES], BLOCK_RAW_BYTES_MAX)
        except zlib.error:
            break
        if len(raw) > BLOCK_RAW_BYTES_MAX:
            break
    return bytes(raw)


# --- a run that was cut ----------------------------------------------------------------------

# First bytes of MessagePack values: how many bytes follow, or of how many bytes a size follows.
_FOLLOWED_BY: Final = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
_SIZED_BY: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSION: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_COUNTED_BY: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Arrays, and maps, which have two values for each."""


def records_before_cut(run: memoryview) -> list[AnyRecord]:
    """The records of a run that a file ends in, but for the one that was cut."""
    found: list[AnyRecord] = []
    try:
        at, count = _opened(run, 0)
        while len(found) < count:
            end = _behind_value(run, at)
            found.append(decode(run[at:end]))
            at = end
    except (*BAD_INPUT, IndexError):
        return found
    return found


def count_of_run(run: memoryview) -> int:
    """How many records a run names.

    Raises:
        IndexError: it is too short to say.
    """
    return _opened(run, 0)[1]


def _behind_value(data: memoryview, at: int) -> int:
    """Where the value that begins at ``at`` ends; IndexError when that is behind the data."""
    open_values = 1
    while open_values:
        at, inside = _opened(data, at)
        open_values += inside - 1
    if at > len(data):
        raise IndexError
    return at


def _opened(data: memoryview, at: int) -> tuple[int, int]:
    """Behind the head of a value, and behind its bytes; how many values follow inside it."""
    first, at = data[at], at + 1
    if 0x80 <= first < 0xC0:
        if first >= 0xA0:
            return at + (first & 0x1F), 0
        return at, (first & 0x0F) * (1 if first >= 0x90 else 2)
    if first in _COUNTED_BY:
        size, times = _COUNTED_BY[first]
        return at + size, times * _number(data, at, size)
    if first in _SIZED_BY:
        size = _SIZED_BY[first]
        return at + size + _number(data, at, size), 0
    if first in _EXTENSION:
        size = _EXTENSION[first]
        return at + size + 1 + _number(data, at, size), 0
    return at + _FOLLOWED_BY.get(first, 0), 0


def _number(data: memoryview, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "big")
