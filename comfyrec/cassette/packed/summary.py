"""What a packed file holds, told from its index or from the heads of its frames.

Nothing but heads is read, so that a file of a gigabyte is told in no time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from comfyrec.cassette.packed.blocks import (
    count_of_run,
    records_of_run,
)
from comfyrec.cassette.packed.container import (
    BLOCK,
    BLOCK_KIND,
    FOOT,
    FOOT_BYTES,
    FOOT_KIND,
    HEAD,
    HEAD_BYTES,
    HEADER,
    HEADER_BYTES,
    INDEX,
    KINDS,
    RECORD,
    RUN,
    SHARED,
    Index,
    SharedPayload,
    crc32,
    peek,
)
from comfyrec.cassette.reading import (
    BAD_INPUT,
)

__all__ = ["Summary", "summary"]

_decode_shared = msgspec.msgpack.Decoder(SharedPayload).decode
_decode_index = msgspec.msgpack.Decoder(Index).decode


class Summary(msgspec.Struct, frozen=True):
    """What a cassette holds, without reading its payloads."""

    records: int
    t_first: int
    t_last: int
    counts: dict[str, int] | None = None
    """By kind; only an index knows them."""


def _index_of(view: memoryview) -> Index | None:
    """The index at the very end of a file, if it stands there and fits."""
    size = len(view)
    if size < HEADER_BYTES + FOOT_BYTES:
        return None
    salt = HEADER.unpack_from(view)[4]
    kind, length, check = HEAD.unpack_from(view, size - FOOT_BYTES)
    foot = view[size - FOOT.size :]
    if kind != FOOT_KIND or length != FOOT.size or crc32(foot, salt ^ kind) != check:
        return None
    (at,) = FOOT.unpack(foot)
    if at + HEAD_BYTES > size:
        return None
    kind, length, check = HEAD.unpack_from(view, at)
    payload = view[at + HEAD_BYTES : at + HEAD_BYTES + length]
    if kind != INDEX or crc32(payload, salt ^ kind) != check:
        return None
    index = _decode_index(payload)
    return index if index.end == at else None


def summary(view: memoryview, read_ahead: Callable[[int], int]) -> Summary | None:
    """Count the records of a packed file from its index, or by walking over the heads of frames.

    Nothing but heads is looked at, so damaged payloads go unseen; ``None`` says that the heads
    themselves do not fit together and the file must be read.

    Args:
        view: the mapped file.
        read_ahead: called before a place is looked at on the walk; says where that is due again.
    """
    try:
        index = _index_of(view)
        if index is not None:
            return Summary(index.records, index.t_first, index.t_last, index.counts)
        return _walk(view, read_ahead)
    except (*BAD_INPUT, IndexError, struct.error):
        return None


_RECORDS: Final = (RECORD, SHARED)


def _walk(view: memoryview, read_ahead: Callable[[int], int]) -> Summary | None:
    at, size, unpack, head_bytes = HEADER_BYTES, len(view), HEAD.unpack_from, HEAD_BYTES
    records, last, block_t_last, ahead = 0, -1, 0, 0
    while at + head_bytes <= size:
        if at >= ahead:
            ahead = read_ahead(at)
        kind, length, _ = unpack(view, at)
        if kind in _RECORDS:
            records += 1
            last = at
        elif kind == RUN:
            records += count_of_run(view[at + head_bytes : at + head_bytes + length])
            last = at
        elif kind == BLOCK_KIND:
            _, _, count, _, _, block_t_last = BLOCK.unpack_from(view, at + head_bytes)
            at, records, last = _behind_group(view, at + head_bytes + length), records + count, -1
            continue
        elif kind not in KINDS:
            return None
        at += head_bytes + length
    last_t = block_t_last if last < 0 else _time_at(view, last)
    return Summary(records, _time_at(view, HEADER_BYTES), last_t)


def _behind_group(view: memoryview, at: int) -> int:
    """Skip the plain frames of a group; its block has counted them."""
    while at + HEAD_BYTES <= len(view):
        kind, length, _ = HEAD.unpack_from(view, at)
        if kind not in _RECORDS:
            break
        at += HEAD_BYTES + length
    return at


def _time_at(view: memoryview, at: int) -> int:
    kind, length, _ = HEAD.unpack_from(view, at)
    payload = view[at + HEAD_BYTES : at + HEAD_BYTES + length]
    if kind == RUN:
        return records_of_run(payload)[-1].t
    return _decode_shared(payload).record.t if kind == SHARED else peek(payload).t
