"""records -> a packed file in its final form, a group at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import blake2b
from operator import attrgetter
from typing import Final

import msgspec

from comfyrec.cassette.packed.blocks import BlockPacker
from comfyrec.cassette.packed.container import (
    BLOCK,
    BLOCK_KIND,
    FOOT,
    FOOT_KIND,
    HEADER_BYTES,
    INDEX,
    RECORD,
    SHARED,
    ZSTD,
    Index,
    IndexEntry,
    SharedPayload,
    encode,
    frame,
    frame_of_bulky,
    frame_parts,
    header,
    is_bulky,
    salt_of,
)
from comfyrec.cassette.packed.unpack import Finder
from comfyrec.cassette.records import (
    AnyRecord,
    End,
    Record,
    Session,
    WsFrame,
    payload_field,
    payload_of,
)

__all__ = ["GroupWriter"]

_FIELDS_BYTES: Final = 64
"""About what a record takes beside its payload."""
_RUN_BYTES: Final = 64 << 10
"""A run has its own checksum, so that a block that was cut gives back all but its last run."""
_GROUP_TEXT_BYTES: Final = 512 << 10
_GROUP_PLAIN_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 1024
"""Smaller records are never worth a frame of their own."""
_TEXT_BYTES_MAX: Final = 4 << 20
"""Larger ones would make blocks that are no longer small beside a reader's memory."""
_SHARE_BYTES_MIN: Final = 2048
_SHARE_TEXT_BYTES_MIN: Final = 32 << 10
"""A block finds the repetition of a smaller text by itself, and reading it back is quicker so."""
_ALWAYS_PLAIN: Final = frozenset({Session, End})
"""The reader follows the sessions of a file by these, so they are never inside a block."""

_seq: Final = attrgetter("seq")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _is_text(record: AnyRecord, bulk: bytes) -> bool:
    """Whether a record is worth packing: a text frame, or what looks like text."""
    if record.__class__ is WsFrame and record.head[:1] == b"\x81":
        return True
    return _looks_like_text(bulk)


def _looks_like_text(data: bytes) -> bool:
    middle = len(data) // 2
    sample = data[:128] + data[middle : middle + 128] + data[-128:]
    return _CONTROL.search(sample) is None


class GroupWriter:
    """records -> groups.

    ``write`` takes a list of byte strings; ``read_at`` reads what was written before (to compare
    bodies that look equal). Memory is bounded by one group and the table of bodies.
    """

    def __init__(
        self,
        session: Session,
        write: Callable[[list[bytes]], object],
        read_at: Callable[[int, int], bytes],
    ) -> None:
        first = encode(session)
        self._salt = salt_of(first)
        self._write = write
        start = frame(RECORD, first, self._salt)
        self._groups = [IndexEntry(HEADER_BYTES, 1, session.seq, session.t, session.t)]
        self._offset = HEADER_BYTES + len(start)
        self._counts = Counter[type[Record]]([Session])
        self._holders: dict[tuple[int, bytes], int] = {}
        self._finder = Finder(read_at, self._salt, self._groups)
        self._packer = BlockPacker()
        self._start_group()
        write([header(session), start])

    def _start_group(self) -> None:
        self._run: list[AnyRecord] = []
        self._run_bytes = 0
        self._plain: list[bytes] = []
        self._plain_bytes = 0
        self._unwritten: dict[int, AnyRecord] = {}
        self._ends: list[AnyRecord] = []
        self._records = 0

    def add_all(self, records: Iterable[AnyRecord]) -> None:
        """Take the records behind the first. Numbers must rise."""
        for record in records:
            if record.__class__ is WsFrame and record.head[:1] == b"\x81":
                size = len(record.payload)  # a whole text message: most records are
                if size < _SHARE_TEXT_BYTES_MIN:
                    self._run.append(record)
                    self._run_bytes += size + _FIELDS_BYTES
                    if self._run_bytes >= _RUN_BYTES:
                        self._end_run()
                    continue
            self.add(record)

    def add(self, record: AnyRecord) -> None:
        """Take one of any kind."""
        bulk = payload_of(record)
        size = len(bulk)
        if type(record) in _ALWAYS_PLAIN:
            self._add_plain(record)
        elif size < _SMALL_BYTES or (size < _SHARE_TEXT_BYTES_MIN and _is_text(record, bulk)):
            self._run.append(record)
            self._run_bytes += size + _FIELDS_BYTES
            if self._run_bytes >= _RUN_BYTES:
                self._end_run()
        elif size >= _SHARE_BYTES_MIN and self._add_shared(record, bulk):
            return
        elif size < _TEXT_BYTES_MAX and _is_text(record, bulk):
            self._run.append(record)
            self._run_bytes += size
            self._end_run()
        else:
            self._add_plain(record)

    def _end_run(self) -> None:
        full = self._packer.raw_bytes + self._run_bytes >= _GROUP_TEXT_BYTES
        self._pack_run(last=full)
        if full:
            self._end_group()

    def _pack_run(self, *, last: bool) -> None:
        run, self._run, self._run_bytes = self._run, [], 0
        self._packer.add(run, last=last)
        self._count(run)

    def _count(self, records: list[AnyRecord]) -> None:
        """Keep the books of the group; a list of records rises by itself."""
        self._records += len(records)
        self._ends += (records[0], records[-1])
        self._counts.update(map(type, records))

    def _add_plain(self, record: AnyRecord, kind: int = RECORD, shared: bytes = b"") -> None:
        if not shared and is_bulky(record):
            parts = frame_of_bulky(record, self._salt)
        else:
            parts = frame_parts(kind, shared or encode(record), self._salt)
        self._count([record])
        self._plain += parts
        self._plain_bytes += sum(map(len, parts))
        if self._plain_bytes >= _GROUP_PLAIN_BYTES:
            self._end_group()

    def _add_shared(self, record: AnyRecord, bulk: bytes) -> bool:
        """Point to an equal body that stands earlier, if there is one."""
        field = payload_field(record.__class__)
        if field is None or getattr(record, "inflated", None) is not None:
            return False  # an inflated message: its deflated bytes depend on those before
        sample = bulk[:64] + bulk[len(bulk) // 2 :][:64] + bulk[-64:]
        holder = self._holders.setdefault((len(bulk), sample), record.seq)
        if holder == record.seq:
            self._unwritten[holder] = record
            return False
        earlier = self._unwritten.get(holder) or self._finder.find(holder)
        if earlier is None or payload_of(earlier) != bulk:
            return False
        bare = msgspec.structs.replace(record, **{field: b""})
        digest = blake2b(bulk, digest_size=16).digest()
        shared = encode(SharedPayload(bare, holder, len(bulk), digest))
        self._add_plain(record, SHARED, shared)
        return True

    def _end_group(self) -> None:
        if self._run:
            self._pack_run(last=True)
        first, last = min(self._ends, key=_seq), max(self._ends, key=_seq)
        size = self._packer.raw_bytes
        head = BLOCK.pack(ZSTD, size, self._records, first.seq, first.t, last.t)
        block = frame(BLOCK_KIND, head + self._packer.take(self._salt), self._salt)
        self._write([block, *self._plain])
        self._groups.append(IndexEntry(self._offset, self._records, first.seq, first.t, last.t))
        self._offset += len(block) + self._plain_bytes
        self._start_group()

    def finish(self) -> None:
        """Write the last group, the index and the foot."""
        if self._records or self._run:
            self._end_group()
        index = Index(
            end=self._offset,
            records=sum(group.records for group in self._groups),
            t_first=self._groups[0].t_first,
            t_last=self._groups[-1].t_last,
            counts={kind.__name__: count for kind, count in self._counts.items()},
            groups=self._groups,
        )
        foot = frame(FOOT_KIND, FOOT.pack(self._offset), self._salt)
        self._write([frame(INDEX, encode(index), self._salt), foot])
