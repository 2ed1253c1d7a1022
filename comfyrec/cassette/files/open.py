"""Opening cassettes, told apart by content, and other files that are read whole."""

from __future__ import annotations

import mmap
import os
import stat
import sys
from collections.abc import Iterator
from typing import Final, Self

from comfyrec.cassette import text
from comfyrec.cassette.encodings import START_BYTES, Encoding, reading_of
from comfyrec.cassette.packed import container
from comfyrec.cassette.packed.summary import Summary, summary
from comfyrec.cassette.packed.unpack import PackedReader
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.errors import CassetteError, Unavailable

__all__ = [
    "Encoding",
    "OpenFile",
    "Reader",
    "is_cassette",
    "list_cassette",
    "open_cassette",
    "read_lines",
    "read_start",
    "same_file",
    "unavailable",
]

_AHEAD_AT_ONCE: Final = 1 << 20
_AHEAD_BYTES: Final = 64 << 20


class OpenFile:
    """A file that is open for reading, as a ``Source``."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # A pipe without a writer would block otherwise.
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise unavailable(path, error, "read") from None
        mode = os.fstat(self.fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(self.fd)
            why = "is a folder" if stat.S_ISDIR(mode) else "is not a regular file"
            raise Unavailable(path, why, "name a cassette file")

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self.fd, size, offset)
        except OSError as error:
            raise unavailable(self.path, error, "read") from None

    def read_ahead(self, offset: int) -> int:
        """Have a piece of the file in the page cache; says where it ends.

        Reading a file in order brings it there three times as quickly as the faults of a mapping.
        """
        if sys.platform == "linux":
            os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer, end = bytearray(_AHEAD_AT_ONCE), offset + _AHEAD_BYTES
        for at in range(offset, end, _AHEAD_AT_ONCE):
            if os.preadv(self.fd, [buffer], at) < _AHEAD_AT_ONCE:
                break
        return end

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def unavailable(path: str, error: OSError, verb: str) -> CassetteError:
    if isinstance(error, FileNotFoundError):
        folder = os.path.dirname(path)  # noqa: PTH120 - names as given
        if verb == "write" and folder and not os.path.isdir(folder):  # noqa: PTH112 - see above
            return Unavailable(
                path, f"there is no folder {folder}", "make it, or give another name"
            )
        return Unavailable(path, "there is no such file or folder", "check the name")
    if isinstance(error, IsADirectoryError):
        return Unavailable(path, "is a folder", "give the name of a file")
    why = error.strerror or type(error).__name__
    return Unavailable(path, f"cannot {verb} it ({why})", "check its rights and the disk")


class Reader:
    """A cassette that is open for reading; iterate over it for its records.

    ``header`` is the first session; ``problems`` fills while reading with what is damaged or
    missing, as errors that are not raised. Iterating again starts from the beginning.
    """

    def __init__(self, path: str, *, beyond_holes: bool = False) -> None:
        self.path = path
        self._beyond_holes = beyond_holes
        self._file = OpenFile(path)
        try:
            self.encoding, self._reading = reading_of(self._file, beyond_holes=beyond_holes)
            first = next(iter(self._reading.records()), None)
        except BaseException:
            self._file.close()
            raise
        self.header = first if isinstance(first, Session) else Session(0, 0)
        self._reading = reading_of(self._file, beyond_holes=beyond_holes)[1]

    @property
    def problems(self) -> list[CassetteError]:
        """What is damaged or missing, as far as the file was read."""
        return self._reading.order.problems

    @property
    def unharmed(self) -> bool:
        """Whether nothing is wrong, as far as it was read, but that an end may be missing."""
        return self._reading.order.unharmed

    @property
    def problems_left_out(self) -> int:
        """How many more problems there are than ``problems`` keeps."""
        return self._reading.order.left_out

    @property
    def next_seq(self) -> int:
        """The number of the record that would come next, as far as the file was read."""
        return self._reading.order.expected

    @property
    def salt(self) -> int:
        """What goes into the checksums of a packed file; 0 for text."""
        return self._reading.salt if isinstance(self._reading, PackedReader) else 0

    def __iter__(self) -> Iterator[AnyRecord]:
        self._reading = reading_of(self._file, beyond_holes=self._beyond_holes)[1]
        return self._reading.records()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_cassette(path: str | os.PathLike[str], *, beyond_holes: bool = False) -> Reader:
    """Open a cassette of either encoding, told apart by content.

    Raises:
        NotACassette: another kind of file, or an empty one.
        NewerFormat: only a newer comfyrec can read it.
        CutOff: it ends within its first record.
        Unavailable: it is not there or cannot be read.
    """
    return Reader(os.fspath(path), beyond_holes=beyond_holes)


def list_cassette(path: str | os.PathLike[str]) -> Summary:
    """How many records, from when to when, without reading payloads where that can be helped."""
    path = os.fspath(path)
    source = OpenFile(path)
    try:
        found = None
        if container.is_packed(source.read_at(0, START_BYTES)) and source.size():
            with (
                mmap.mmap(source.fd, 0, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as view,
            ):
                found = summary(view, source.read_ahead)
    finally:
        source.close()
    return found or _counted(path)


def _counted(path: str) -> Summary:
    counts: dict[str, int] = {}
    t_first: int | None = None
    t_last = 0
    with open_cassette(path) as reader:
        for record in reader:
            t_first = record.t if t_first is None else t_first
            t_last = record.t
            name = type(record).__name__
            counts[name] = counts.get(name, 0) + 1
    return Summary(sum(counts.values()), t_first or 0, t_last, counts)


# --- writing ---------------------------------------------------------------------------------


def is_cassette(start: bytes) -> bool:
    """Whether these first bytes are of a cassette of either encoding."""
    return container.is_packed(start) or text.is_text(start)


def same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether both names are of one existing file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)  # noqa: PTH110, PTH121 - names as given


def read_start(path: str) -> bytes:
    """The first bytes of any file, to tell what it is."""
    source = OpenFile(path)
    try:
        return source.read_at(0, START_BYTES)
    finally:
        source.close()


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a text file, with their ends."""
    source = OpenFile(path)
    with os.fdopen(source.fd, "rb") as file:
        yield from file
