"""The packed layout: a header, then frames with length and checksum; blocks; an index.

The page ``docs/cassette-format.md`` says what stands where and why. In short: a file is a header of
20 bytes and then frames. A frame is a marker with its kind, a length and a checksum, then as many
bytes. While recording, each record is a frame of its own. A file that was closed cleanly is made of
groups: one block (the compressible records, deflated together), then the other records as frames
of their own, in the order of their numbers; an equal body is stored once and pointed to.

``pack`` writes this layout, ``unpack`` reads it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from comfyrec.cassette.records import FORMAT, RECORD_BYTES_MAX, AnyRecord, Session

__all__ = ["HEADER_BYTES", "MAGIC", "Group", "Index", "Shared", "is_packed"]

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
"""Before the deflated bytes of a block: coding, inflated size; of its group: records, first number,
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
INDEX: Final = _kind(b"i")
FOOT_KIND: Final = _kind(b"f")
KINDS: Final = frozenset({RECORD, SHARED, BLOCK_KIND, INDEX, FOOT_KIND})

DEFLATE: Final = 1
"""Bare deflate, without the frame of zlib: a checksum of our own is there already, and Adler-32
would cost a third of the time of reading."""
WINDOW_BITS: Final = -15
BLOCK_RAW_BYTES_MAX: Final = 16 << 20
"""No block inflates to more; a deflate stream can grow a thousandfold."""


class Shared(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record whose body stands in another, earlier record of this file."""

    record: AnyRecord
    holder: int
    size: int
    digest: bytes


class Group(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    groups: list[Group]


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


def frame_encoder(salt: int) -> Callable[[AnyRecord], bytes]:
    """record -> its frame, for a file with this salt."""
    seed, pack, checksum, to_bytes = salt ^ RECORD, HEAD.pack, crc32, encode

    def encode_frame(record: AnyRecord) -> bytes:
        payload = to_bytes(record)
        if len(payload) > RECORD_BYTES_MAX:
            raise ValueError(f"a record of {len(payload)} bytes; larger bodies go in pieces")
        return pack(RECORD, len(payload), checksum(payload, seed)) + payload

    return encode_frame


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
