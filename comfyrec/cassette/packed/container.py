"""The packed layout: a header, then frames with length and checksum; blocks; an index.

The page ``docs/cassette-format.md`` says what stands where and why. In short: a file is a header of
20 bytes and then frames. A frame is a marker with its kind, a length and a checksum, then as many
bytes. While recording, a frame is one record, or a run of small records that were written at once.
A file that was closed cleanly is made of groups: one block (the compressible records, packed
together), then the other records as frames of their own, in the order of their numbers; an equal
body is stored once and pointed to.

``pack`` writes this layout, ``unpack`` reads it, ``blocks`` is what stands in a block.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from comfyrec.cassette.records import (
    FORMAT,
    RECORD_BYTES_MAX,
    AnyRecord,
    Session,
    payload_field,
)

__all__ = ["HEADER_BYTES", "MAGIC", "Index", "IndexEntry", "SharedPayload", "is_packed"]

MAGIC: Final = b"\x89CREC\r\n\x1a"
"""As PNG's: a byte beyond ASCII, line ends and an end-of-file mark, so that a transfer that
'repairs' text is seen at once."""

HEADER: Final = struct.Struct("<8sBBHI")
"""Magic, format, min_reader, nothing, salt. A CRC-32 of these 16 bytes follows."""
HEADER_BYTES: Final = HEADER.size + 4

HEAD: Final = struct.Struct("<III")
"""Of a frame: marker with kind, length, checksum."""
HEAD_BYTES: Final = HEAD.size

BLOCK: Final = struct.Struct("<BIIQqq")
"""Before the packed bytes of a block: coding, size unpacked; of its group: records, first number,
first and last time."""

FOOT: Final = struct.Struct("<Q")
FOOT_BYTES: Final = HEAD_BYTES + FOOT.size

MARK: Final = b"\xc1\xfe\xed"
"""0xC1 is the one byte that MessagePack never uses for a type."""


def _kind(letter: bytes) -> int:
    return int.from_bytes(MARK + letter, "little")


RECORD: Final = _kind(b"r")
SHARED: Final = _kind(b"s")
BLOCK_KIND: Final = _kind(b"b")
RUN: Final = _kind(b"u")
PIECE: Final = _kind(b"z")
INDEX: Final = _kind(b"i")
FOOT_KIND: Final = _kind(b"f")
KINDS: Final = frozenset({RECORD, RUN, SHARED, BLOCK_KIND, INDEX, FOOT_KIND})
"""Of frames that stand by themselves; pieces stand in blocks only."""

DEFLATE: Final = 1
"""Bare deflate, without the frame of zlib: a checksum of our own is there already, and Adler-32
would cost a third of the time of reading."""
ZSTD: Final = 2
WINDOW_BITS: Final = -15
BLOCK_RAW_BYTES_MAX: Final = 16 << 20
"""No block unpacks to more; a deflate stream can grow a thousandfold, Zstandard without bound."""

SMALL_BYTES: Final = 4096
"""Records below this share a frame with the records written at once; a flipped bit must not cost
several pictures."""
RUN_BYTES: Final = 16 << 10
"""About how much a run holds: what a flipped bit in a recording costs at most."""
RUN_BYTES_MAX: Final = 1 << 20
"""No run that stands by itself is larger; many small records take much more memory than bytes."""
_RUN_RECORDS: Final = 32
"""Records that are tried as one run; with a picture among them they are taken apart again."""
_ARRAY: Final = struct.Struct(">BH")
"""The head of a MessagePack array: 0xDC, how many."""
_BYTES: Final = struct.Struct(">BI")
"""The head of MessagePack bytes: 0xC6, how many; as an encoder writes it from 64 KiB on."""
_UNCOPIED_BYTES_MIN: Final = 64 << 10
"""From here on, writing the bytes where they are is quicker than putting them into a buffer."""


class SharedPayload(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record whose body stands in another, earlier record of this file."""

    record: AnyRecord
    holder: int
    size: int
    digest: bytes


class IndexEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of the index: about a megabyte of the file."""

    offset: int
    records: int
    seq_first: int
    t_first: int
    t_last: int


class Index(msgspec.Struct, frozen=True, array_like=True):
    """Stands at the end of a cleanly closed file. Never needed to read, only to be quick."""

    end: int
    """Where the index itself begins; it speaks of all bytes before."""
    records: int
    t_first: int
    t_last: int
    counts: dict[str, int]
    groups: list[IndexEntry]


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(AnyRecord).decode
crc32: Final = zlib.crc32


def salt_of(session: bytes) -> int:
    """What goes into every checksum of a file, from its encoded first record.

    A cassette may hold another cassette as a body. Behind damage a reader looks for the next frame,
    and would find those of the inner file; their checksums do not fit here.
    """
    return crc32(session)


def header(session: Session) -> bytes:
    """The first bytes of a file that begins with this record."""
    start = HEADER.pack(MAGIC, FORMAT, session.min_reader, 0, salt_of(encode(session)))
    return start + crc32(start).to_bytes(4, "little")


def frame(kind: int, payload: bytes, salt: int) -> bytes:
    """Put head and checksum before the bytes of one frame."""
    return HEAD.pack(kind, len(payload), crc32(payload, salt ^ kind)) + payload


def frame_encoder(salt: int) -> Callable[[list[AnyRecord]], list[bytes]]:
    """records -> the parts of their frames, for a file with this salt.

    Small records that follow each other are one frame: its head, checksum and write are most of
    what such a record costs.
    """

    def encode_frames(records: list[AnyRecord]) -> list[bytes]:
        if len(records) == 1:
            return _frame_of_one(records[0], salt)
        parts: list[bytes] = []
        for at in range(0, len(records), _RUN_RECORDS):
            some = records[at : at + _RUN_RECORDS]
            payload = encode(some)
            if len(some) > 1 and len(payload) <= RUN_BYTES:
                parts += frame_parts(RUN, payload, salt)
            else:
                parts += _frames_by_size(some, salt)
        return parts

    return encode_frames


def _frame_of_one(record: AnyRecord, salt: int) -> list[bytes]:
    if is_bulky(record):
        return frame_of_bulky(record, salt)
    return frame_parts(RECORD, encode(record), salt)


def _frames_by_size(records: list[AnyRecord], salt: int) -> list[bytes]:
    """Runs of small records between large ones, each of which is a frame of its own."""
    parts: list[bytes] = []
    run: list[bytes] = []
    size = 0
    for record in records:
        if is_bulky(record):
            parts += _frame_of_some(run, salt)
            parts += frame_of_bulky(record, salt)
            run, size = [], 0
            continue
        payload = encode(record)
        small = len(payload) < SMALL_BYTES
        if run and (not small or size + len(payload) > RUN_BYTES):
            parts += _frame_of_some(run, salt)
            run, size = [], 0
        if small:
            run.append(payload)
            size += len(payload)
        else:
            parts += frame_parts(RECORD, payload, salt)
    return parts + _frame_of_some(run, salt)


def _frame_of_some(run: list[bytes], salt: int) -> list[bytes]:
    if not run:
        return []
    if len(run) == 1:
        return frame_parts(RECORD, run[0], salt)
    return frame_parts(RUN, _ARRAY.pack(0xDC, len(run)) + b"".join(run), salt)


def frame_parts(kind: int, payload: bytes, salt: int) -> list[bytes]:
    """Head and content of one frame that holds a record or some.

    Raises:
        ValueError: it is larger than a reader takes.
    """
    if len(payload) > RECORD_BYTES_MAX:
        raise ValueError(f"a record of {len(payload)} bytes; larger bodies go in pieces")
    return [HEAD.pack(kind, len(payload), crc32(payload, salt ^ kind)), payload]


def is_bulky(record: AnyRecord) -> bool:
    """Whether a record is nearly all payload, so that ``frame_of_bulky`` frames it best."""
    field = payload_field(type(record))
    return field is not None and len(getattr(record, field)) >= _UNCOPIED_BYTES_MIN


def frame_of_bulky(record: AnyRecord, salt: int) -> list[bytes]:
    """What ``frame(RECORD, encode(record), salt)`` is, in parts; the payload is not copied."""
    field = payload_field(type(record))
    assert field is not None, "is_bulky said so"
    bulk: bytes = getattr(record, field)
    names = record.__struct_fields__
    at = names.index(field)
    before = [record.__struct_config__.tag, *(getattr(record, name) for name in names[:at])]
    after = [getattr(record, name) for name in names[at + 1 :]]
    # An array is the number of its values, in one byte for up to 15, and then the values.
    start = (
        bytes((0x90 | (len(names) + 1),))
        + encode(before)[1:]
        + _BYTES.pack(0xC6, len(bulk))
    )  # fmt: skip
    end = encode(after)[1:]
    size = len(start) + len(bulk) + len(end)
    if size > RECORD_BYTES_MAX:
        raise ValueError(f"a record of {size} bytes; larger bodies go in pieces")
    check = crc32(end, crc32(bulk, crc32(start, salt ^ RECORD)))
    return [HEAD.pack(RECORD, size, check) + start, bulk, end]


def salt_of_first_frame(start: bytes) -> int | None:
    """The salt, computed from the first record: the way in when the header is damaged."""
    if len(start) < HEADER_BYTES + HEAD_BYTES:
        return None
    kind, length, check = HEAD.unpack_from(start, HEADER_BYTES)
    at = HEADER_BYTES + HEAD_BYTES
    payload = start[at : at + length]
    salt = salt_of(payload)
    fits = kind == RECORD and len(payload) == length and crc32(payload, salt ^ kind) == check
    return salt if fits else None


def is_packed(start: bytes) -> bool:
    """Whether these first bytes (some kB) are of a packed cassette: whole, cut or damaged."""
    if start.startswith(MAGIC) or MAGIC.startswith(start):
        return bool(start)
    return _nearly_magic(start) or salt_of_first_frame(start) is not None


def _nearly_magic(start: bytes) -> bool:
    wrong = sum(ours != theirs for ours, theirs in zip(MAGIC, start, strict=False))
    return wrong == 1 and start[HEADER_BYTES : HEADER_BYTES + len(MARK)] == MARK


class RecordNumber(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first fields of any record, of kinds to come as well."""

    kind: int
    seq: int
    t: int = 0


peek = msgspec.msgpack.Decoder(RecordNumber).decode
