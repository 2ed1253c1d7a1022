"""packed bytes -> records, whatever state the file is in.

Strategy: one quick loop over plain frames that are whole. Everything else (blocks, shared bodies,
damage, the end) leaves the loop, is dealt with once, and comes back. Behind damage the next frame
is looked for by its marker and believed only with its checksum.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from hashlib import blake2b
from operator import attrgetter
from typing import Final

import msgspec

from comfyrec.cassette.packed.blocks import (
    UNREADABLE,
    ReadBudget,
    UnreadableContent,
    records_before_cut,
    records_of_block,
    records_of_run,
    whole_records_of_block,
)
from comfyrec.cassette.packed.container import (
    BLOCK,
    BLOCK_KIND,
    FOOT_KIND,
    HEAD,
    HEAD_BYTES,
    HEADER,
    HEADER_BYTES,
    INDEX,
    KINDS,
    MAGIC,
    MARK,
    RECORD,
    RUN,
    RUN_BYTES_MAX,
    SHARED,
    Index,
    IndexEntry,
    SharedPayload,
    crc32,
    decode,
    peek,
    salt_of_first_frame,
)
from comfyrec.cassette.reading import (
    BAD_INPUT,
    BEHIND_A_HOLE,
    HOLE,
    ByteSource,
    RecordOrder,
)
from comfyrec.cassette.records import (
    FORMAT,
    RECORD_BYTES_MAX,
    AnyRecord,
    Session,
    payload_field,
    payload_of,
)
from comfyrec.errors import CutOff, NewerFormat, NotACassette

__all__ = ["Finder", "PackedReader"]

_WINDOW_BYTES: Final = 1 << 20
_SEARCH_FACTOR: Final = 8
"""Looking for the next frame behind damage may checksum this many times the file, no more: a file
of nothing but markers would otherwise take quadratic time."""
_GROWTH_MAX: Final = 1000
"""Inflated and shared bytes together, as a multiple of the file: about what deflate itself allows,
so only a file that was made to exhaust its reader gets there."""
_GROWTH_FREE: Final = 1 << 30
_GROUP_FRAMES_MAX: Final = 4096
"""The writer ends a group far earlier."""
_KIND_LAST: Final = 8
_seq: Final = attrgetter("seq")
_KEEP_BYTES_MIN: Final = 2048
_KEPT_BYTES_MAX: Final = 8 << 20

_decode_shared = msgspec.msgpack.Decoder(SharedPayload).decode
_decode_index = msgspec.msgpack.Decoder(Index).decode


class _Window:
    """The stretch of the source that is being read."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.size = source.size()
        self.base = 0
        self.view = memoryview(b"")

    def bytes(self, offset: int, size: int) -> memoryview:
        """``size`` bytes from ``offset``; fewer where the file ends."""
        size = max(0, min(size, self.size - offset))
        at = offset - self.base
        if at < 0 or at + size > len(self.view):
            self.base, at = offset, 0
            wanted = min(max(size, _WINDOW_BYTES), self.size - offset)
            self.view = memoryview(self._source.read_at(offset, wanted))
        return self.view[at : at + size]


# --- equal bodies ----------------------------------------------------------------------------


class Finder:
    """number -> record, for bodies that are stored once."""

    def __init__(
        self, read_at: Callable[[int, int], bytes], salt: int, groups: list[IndexEntry]
    ) -> None:
        self._read_at, self._salt, self._groups = read_at, salt, groups
        self._budget = ReadBudget(_GROWTH_FREE)
        self._kept: OrderedDict[int, tuple[AnyRecord, int]] = OrderedDict()
        self._kept_bytes = 0

    def keep(self, record: AnyRecord, size: int) -> None:
        """Remember a record for a while: equal bodies mostly stand close together."""
        self._kept[record.seq] = record, size
        self._kept_bytes += size
        while self._kept_bytes > _KEPT_BYTES_MAX:
            self._kept_bytes -= self._kept.popitem(last=False)[1][1]

    def find(self, seq: int) -> AnyRecord | None:
        """The record with this number, from one of the groups known so far."""
        if seq in self._kept:
            return self._kept[seq][0]
        at = bisect_right(self._groups, seq, key=attrgetter("seq_first")) - 1
        found = self._in_group(self._groups[at].offset, seq) if at >= 0 else None
        if found is not None:
            self.keep(found, len(payload_of(found)))
        return found

    def _in_group(self, offset: int, seq: int) -> AnyRecord | None:
        for number in range(_GROUP_FRAMES_MAX):
            head = self._read_at(offset, HEAD_BYTES)
            if len(head) < HEAD_BYTES:
                return None
            kind, length, check = HEAD.unpack(head)
            allowed = (RECORD, SHARED) if number else (RECORD, BLOCK_KIND)
            if kind not in allowed or length > RECORD_BYTES_MAX:
                return None
            payload = memoryview(self._read_at(offset + HEAD_BYTES, length))
            if crc32(payload, self._salt ^ kind) != check:
                return None
            found = self._in_frame(kind, payload, seq)
            if found is not None:
                return found
            offset += HEAD_BYTES + length
        return None

    def _in_frame(self, kind: int, payload: memoryview, seq: int) -> AnyRecord | None:
        try:
            if kind == BLOCK_KIND:
                records = records_of_block(payload, self._budget)
                return next((record for record in records if record.seq == seq), None)
            if kind == RECORD and peek(payload).seq == seq:
                return decode(payload)
        except UNREADABLE:
            return None
        return None


def _expanded(shared: SharedPayload, holder: AnyRecord | None) -> AnyRecord:
    """Put the body back into a record that only pointed to it."""
    field = payload_field(type(shared.record))
    of_holder = None if holder is None else payload_field(type(holder))
    body: bytes = getattr(holder, of_holder) if of_holder is not None else b""
    right = len(body) == shared.size and blake2b(body, digest_size=16).digest() == shared.digest
    if field is None or not right:
        raise UnreadableContent(
            f"the body of record {shared.record.seq} stood in record {shared.holder}"
        )
    return msgspec.structs.replace(shared.record, **{field: body})


_NAMES: Final = {
    RECORD: "a record",
    SHARED: "a record",
    RUN: "a run of records",
    BLOCK_KIND: "a block of records",
    INDEX: "the index",
    FOOT_KIND: "the foot",
}


# --- the reader ------------------------------------------------------------------------------


class PackedReader:
    """A packed cassette, from its first record to its end, in constant memory.

    Args:
        source: of the file.
        beyond_holes: read on behind stretches of zeros.
        since: (offset of a frame, number of its record) to read on from.

    Raises:
        NotACassette: neither the header nor the first record is of a cassette.
        NewerFormat: only a newer comfyrec can read it.
        CutOff: the file ends within its first record.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        beyond_holes: bool = False,
        since: tuple[int, int] | None = None,
    ) -> None:
        self._source = source
        self._beyond_holes = beyond_holes
        self._window = _Window(source)
        self._at = HEADER_BYTES
        self.order = RecordOrder(source.path, lambda: self._at)
        self.salt = self._open(bytes(self._window.bytes(0, _WINDOW_BYTES)))
        size = self._window.size
        self._groups: list[IndexEntry] = []
        self._finder = Finder(source.read_at, self.salt, self._groups)
        self._search_budget = ReadBudget(_SEARCH_FACTOR * size + _WINDOW_BYTES)
        self._growth = ReadBudget(_GROWTH_MAX * size + _GROWTH_FREE)
        self._held: list[AnyRecord] = []
        if since is not None:
            self._at, self.order.expected = since

    def _open(self, start: bytes) -> int:
        path = self._source.path
        if len(start) <= HEADER_BYTES + HEAD_BYTES:
            raise CutOff(path, len(start), "it ends before its first record")
        whole = start[: HEADER.size]
        check = int.from_bytes(start[HEADER.size : HEADER_BYTES], "little")
        magic, _, min_reader, _, salt = HEADER.unpack(whole)
        if crc32(whole) == check and magic == MAGIC:
            if min_reader > FORMAT:
                raise NewerFormat(path, min_reader, FORMAT)
            return int(salt)
        own = salt_of_first_frame(start)
        if own is None and magic != MAGIC:
            raise NotACassette(path, "is not a cassette, or the start of it is destroyed")
        self.order.damage(0, "the header does not fit its checksum")
        return int(salt) if own is None else own

    def records(self) -> Iterator[AnyRecord]:
        """Every whole record, in order. What is not whole goes to ``order.problems``."""
        order, window, unpack, checksum = self.order, self._window, HEAD.unpack_from, crc32
        seed, size = self.salt ^ RECORD, window.size
        while self._at < size:
            window.bytes(self._at, HEAD_BYTES)
            view, base = window.view, window.base
            at, end = self._at - base, len(view)
            while end - at >= HEAD_BYTES:
                kind, length, check = unpack(view, at)
                stop = at + HEAD_BYTES + length
                if kind != RECORD or stop > end:
                    break
                payload = view[at + HEAD_BYTES : stop]
                if checksum(payload, seed) != check:
                    break
                try:
                    record = decode(payload)
                except BAD_INPUT:
                    break
                self._at = base + at
                if self._held:
                    yield from self._release(record.seq)
                at = stop
                if record.seq != order.expected and not order.admits(record):
                    continue
                if record.__class__ is Session:
                    order.begins(record)
                order.expected = record.seq + 1
                order.last = record
                if length >= _KEEP_BYTES_MIN and self._groups:
                    self._finder.keep(record, length)
                yield record
            self._at = base + at
            if self._at < size:
                del view
                yield from self._odd_frame()
        yield from self._release(None)
        order.finish()

    def _release(self, before: int | None) -> list[AnyRecord]:
        """The records of the block whose turn has come."""
        held, order = self._held, self.order
        count = len(held)
        if before is not None:
            count = bisect_right(held, before, key=_seq)
        due = held[:count]
        del held[:count]
        if due and due[0].seq == order.expected and due[-1].seq - due[0].seq == count - 1:
            order.expected = due[-1].seq + 1
            order.last = due[-1]
            return due
        return [record for record in due if self._admits(record)]

    def _admits(self, record: AnyRecord) -> bool:
        order = self.order
        if record.seq != order.expected and not order.admits(record):
            return False
        if isinstance(record, Session):
            order.begins(record)
        order.expected = record.seq + 1
        order.last = record
        return True

    def _with(self, record: AnyRecord) -> list[AnyRecord]:
        """The record, behind those of the block that come before it."""
        due = self._release(record.seq)
        if self._admits(record):
            due.append(record)
        return due

    def _all_of(self, run: list[AnyRecord]) -> list[AnyRecord]:
        """What is still held, and a run that stands by itself behind it."""
        due = self._release(None)
        self._held = run
        return due + self._release(None)

    def _odd_frame(self) -> list[AnyRecord]:
        """One frame that the quick loop left: another kind, a large one, damage, the end."""
        at, size = self._at, self._window.size
        head = self._window.bytes(at, HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return self._damaged(at, 0, size)
        kind, length, check = HEAD.unpack(head)
        stop = at + HEAD_BYTES + length
        if kind not in KINDS or length > RECORD_BYTES_MAX or stop > size:
            return self._damaged(at, kind, stop)
        payload = self._window.bytes(at + HEAD_BYTES, length)
        if crc32(payload, self.salt ^ kind) != check:
            return self._damaged(at, kind, stop)
        due: list[AnyRecord] = []
        try:
            self._content(kind, payload, due)
        except UNREADABLE as why:
            self._unreadable(kind, payload, why)
        self._at = stop
        return due

    def _content(self, kind: int, payload: memoryview, due: list[AnyRecord]) -> None:
        """What a whole frame says; records that are due by it go to ``due``."""
        if kind == RECORD:
            due += self._with(decode(payload))
        elif kind == SHARED:
            shared = _decode_shared(payload)
            self._growth.take(shared.size)
            due += self._with(_expanded(shared, self._finder.find(shared.holder)))
        elif kind == RUN:
            if len(payload) > RUN_BYTES_MAX:
                raise UnreadableContent(f"a run of {len(payload)} bytes is beyond the limits")
            due += self._all_of(records_of_run(payload))
        else:
            due += self._release(None)
            self.order.settle()
            if kind == BLOCK_KIND:
                _, _, records, seq, t_first, t_last = BLOCK.unpack_from(payload)
                self._groups.append(IndexEntry(self._at, records, seq, t_first, t_last))
                self._held = records_of_block(payload, self._growth)

    def _unreadable(self, kind: int, payload: memoryview, why: Exception) -> None:
        """A frame with a right checksum says nothing that this reader knows."""
        try:
            number = peek(payload)
        except BAD_INPUT:
            number = None
        if kind == RECORD and number is not None and number.kind > _KIND_LAST:
            self.order.skip_to(number.seq)
            self.order.expected = number.seq + 1
            why_unknown = f"record {number.seq} is of a kind ({number.kind}) of a newer comfyrec"
            self.order.damage(self._at, f"{why_unknown}; it is left out")
        else:
            self.order.damage(self._at, str(why))

    # --- damage ------------------------------------------------------------------------------

    def _damaged(self, at: int, kind: int, stop: int) -> list[AnyRecord]:
        """Bytes at ``at`` are not a frame: save what can be saved, and find where to go on."""
        size = self._window.size
        named, stop = stop, min(stop, size)
        borders_stand = kind in KINDS and self._is_border(stop)
        cut = kind in KINDS and stop == size
        due: list[AnyRecord] = []
        if kind == BLOCK_KIND:
            due = self._release(None)
            block = self._window.bytes(at + HEAD_BYTES, stop - at - HEAD_BYTES)
            self._held = whole_records_of_block(block, self.salt)
        # Half a run may stand before whole ones of the same size, so its border says little.
        trusted = borders_stand and not cut and kind != RUN
        resume = stop if trusted else self._search(at + 1)
        end = size if resume is None else resume
        if kind == RUN and end < named:
            # It was cut, no bit was turned: what stands before the cut needs no checksum.
            rest = min(end - at - HEAD_BYTES, RUN_BYTES_MAX)
            due = self._all_of(records_before_cut(self._window.bytes(at + HEAD_BYTES, rest)))
        self._at = at
        is_end = cut and resume is None
        why = self._describe(kind, cut=is_end)
        # What stands in blocks and was to follow them is missing in many places of one cut.
        self.order.damage(at, why, spread=kind == BLOCK_KIND or is_end)
        if resume is None:
            self._at = size
        elif self._has_hole(at, resume) and not self._beyond_holes:
            self.order.damage(at, BEHIND_A_HOLE)
            self._at = size
        else:
            self._at = resume
        return due

    def _describe(self, kind: int, *, cut: bool) -> str:
        name = _NAMES.get(kind)
        if name is None:
            return "these bytes are not a record"
        return f"{name} is cut off" if cut else f"{name} does not fit its checksum"

    def _is_border(self, offset: int) -> bool:
        return offset == self._window.size or bytes(self._window.bytes(offset, len(MARK))) == MARK

    def _has_hole(self, start: int, stop: int) -> bool:
        for at in range(start, stop, _WINDOW_BYTES):
            size = min(_WINDOW_BYTES + len(HOLE), stop - at)
            if HOLE in bytes(self._window.bytes(at, size)):
                return True
        return False

    def _search(self, start: int) -> int | None:
        """The next offset where a whole frame begins."""
        size = self._window.size
        for at in range(start, size, _WINDOW_BYTES):
            overlap = _WINDOW_BYTES + len(MARK)
            piece = bytes(self._window.bytes(at, min(overlap, size - at)))
            found = piece.find(MARK)
            while found >= 0:
                try:
                    if self._is_frame(at + found):
                        return at + found
                except UnreadableContent:
                    return None
                found = piece.find(MARK, found + 1)
        return None

    def _is_frame(self, offset: int) -> bool:
        head = self._source.read_at(offset, HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return False
        kind, length, check = HEAD.unpack(head)
        stop = offset + HEAD_BYTES + length
        if kind not in KINDS or length > RECORD_BYTES_MAX or stop > self._window.size:
            return False
        self._search_budget.take(length)
        payload = self._source.read_at(offset + HEAD_BYTES, length)
        return bool(crc32(payload, self.salt ^ kind) == check)
