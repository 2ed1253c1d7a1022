"""A cassette that is being recorded: what is whole of it by now, and then what has come since."""

from __future__ import annotations

import os
from collections.abc import Iterator

from comfyrec.cassette.encodings import reading_on
from comfyrec.cassette.files.open import OpenFile, Reader
from comfyrec.cassette.packed.container import HEAD, HEAD_BYTES, HEADER_BYTES, KINDS, is_packed
from comfyrec.cassette.records import AnyRecord, End
from comfyrec.errors import CassetteError, CutOff

__all__ = ["Tail"]

_WINDOW_BYTES = 1 << 20


class _Part:
    """The part of a file that ends with a whole frame or line, as a ``ByteSource``."""

    def __init__(self, file: OpenFile) -> None:
        self.path, self._file, self.end = file.path, file, 0

    def size(self) -> int:
        return self.end

    def read_at(self, offset: int, size: int) -> bytes:
        return self._file.read_at(offset, max(0, min(size, self.end - offset)))


class Tail:
    """Reads a file on, each time that it has grown.

    A recorder that ends cleanly may put another file in the place of this one, with the same
    records in their final form; then what is new in that one follows.

    Args:
        path: of a cassette of either encoding.

    Raises:
        CassetteError: it cannot be read at all.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with Reader(path) as reader:
            self.header = reader.header
        self.problems: list[CassetteError] = []
        """What is damaged, as far as it was read."""
        self._next = 0
        self._last: AnyRecord | None = None
        self._open()

    def _open(self) -> None:
        self._file = OpenFile(self.path)
        self._part = _Part(self._file)
        self._packed = is_packed(self._file.read_at(0, 1 << 16))
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether the recording was ended, as far as it was read."""
        return isinstance(self._last, End)

    def more(self) -> Iterator[AnyRecord]:
        """The records that are whole by now and were not read before."""
        yield from self._rest()
        if self._replaced():
            self._file.close()
            self._open()
            yield from self._rest()

    def _rest(self) -> Iterator[AnyRecord]:
        start, self._part.end = self._at, self._whole_until()
        if self._part.end <= start:
            return
        reading = reading_on(self._part, (start, self._next))
        for record in reading.records():
            if record.seq >= self._next:
                self._next, self._last = record.seq + 1, record
                yield record
        self.problems += [p for p in reading.order.problems if not isinstance(p, CutOff)]
        self._at = self._part.end

    def _whole_until(self) -> int:
        """Where the last whole frame or line ends."""
        size = self._file.size()
        return self._whole_frames(size) if self._packed else self._whole_lines(size)

    def _whole_frames(self, size: int) -> int:
        at = self._at or HEADER_BYTES
        while at + HEAD_BYTES <= size:
            kind, length, _ = HEAD.unpack(self._file.read_at(at, HEAD_BYTES))
            if kind not in KINDS or at + HEAD_BYTES + length > size:
                # Half written, or damage: what is behind that is read when the recording has ended.
                break
            at += HEAD_BYTES + length
        return self._at if at == HEADER_BYTES else at

    def _whole_lines(self, size: int) -> int:
        end = size
        while end > self._at:
            start = max(self._at, end - _WINDOW_BYTES)
            found = self._file.read_at(start, end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return self._at

    def _replaced(self) -> bool:
        try:
            there = os.stat(self.path)  # noqa: PTH116 - a plain string
        except OSError:
            return False
        return not os.path.samestat(there, os.fstat(self._file.fd))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
