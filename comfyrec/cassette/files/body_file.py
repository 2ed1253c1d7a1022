"""Large bodies in a file without a name, which is gone with the last one who can read it.

A copy, not the cassette itself: that may be packed, cut, damaged or replaced while it is served.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import Final

import msgspec

__all__ = ["BodyFile", "BodyWriter", "FileBody"]

Extent = tuple[int, int]
"""Where a stretch begins in the file, and how many bytes it has."""
_TOGETHER: Final = 1 << 18


class BodyFile:
    """A file that bodies are written into, several at once.

    Attributes:
        fd: its descriptor; open as long as this object lives.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.fd = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.fd)
        self._end = 0

    def begin(self) -> BodyWriter:
        """A new body."""
        return BodyWriter(self)

    def append(self, data: bytes) -> int:
        """Write at the end; where that was."""
        at, view = self._end, memoryview(data)
        while view:
            written = os.pwrite(self.fd, view, self._end)
            self._end += written
            view = view[written:]
        return at


class BodyWriter:
    """A body on its way into the file. Its pieces need not stand together."""

    def __init__(self, file: BodyFile) -> None:
        self._file = file
        self._extents: list[Extent] = []
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """One more piece."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held, self._held_bytes = [], 0
        at = self._file.append(data)
        if self._extents and sum(self._extents[-1]) == at:
            first, size = self._extents.pop()
            self._extents.append((first, size + len(data)))
        elif data:
            self._extents.append((at, len(data)))

    def done(self) -> FileBody:
        """The body, whole."""
        self._flush()
        return FileBody(self._file, tuple(self._extents))


class FileBody(msgspec.Struct, frozen=True):
    """A body in a file; see ``comfyrec.http.large_body.StoredBody``."""

    file: BodyFile
    extents: tuple[Extent, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(size for _, size in self.extents)

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from there on; fewer at the end."""
        found = [os.pread(self.file.fd, many, at) for at, many in self.part(start, size).extents]
        return found[0] if len(found) == 1 else b"".join(found)

    def part(self, start: int, size: int) -> FileBody:
        """A stretch of it, as a body of its own; nothing is copied."""
        extents: list[Extent] = []
        for at, many in self.extents:
            skipped = min(start, many)
            taken = min(many - skipped, size)
            if taken > 0:
                extents.append((at + skipped, taken))
            start, size = start - skipped, size - max(taken, 0)
        return FileBody(self.file, tuple(extents))
