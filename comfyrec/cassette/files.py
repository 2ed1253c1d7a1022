"""Cassettes on disk: the only module of this room that opens a file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import msgspec

from comfyrec.cassette import text
from comfyrec.cassette.packed import container, unpack
from comfyrec.cassette.packed.pack import GroupWriter
from comfyrec.cassette.packed.unpack import PackedReader, Summary
from comfyrec.cassette.records import FORMAT, AnyRecord, End, Note, Session
from comfyrec.cassette.redact import hide_in_url
from comfyrec.cassette.text import TextReader
from comfyrec.errors import (
    CassetteError,
    CassetteExists,
    CassetteInUse,
    NotACassette,
    SecretKept,
    Unavailable,
)
from comfyrec.wording import nearest

__all__ = [
    "Encoding",
    "Reader",
    "Writer",
    "bundled",
    "create_cassette",
    "find_cassette",
    "list_cassette",
    "open_cassette",
    "write_cassette",
]

Encoding = Literal["packed", "jsonl"]

SUFFIXES: Final = {".crec": "packed", ".jsonl": "jsonl"}
_START_BYTES: Final = 64 << 10
_AHEAD_AT_ONCE: Final = 1 << 20
_AHEAD_BYTES: Final = 64 << 20
_PARTS_AT_ONCE: Final = 1000
"""Below what any system takes in one ``writev`` (IOV_MAX)."""
_COPIED_BYTES_MAX: Final = 128 << 10
"""One buffer is quicker to write than many parts; a larger one costs fresh pages each time."""
_UNCACHED: Final = 0x80
"""RWF_DONTCACHE of Linux (include/uapi/linux/fs.h), which Python has no name for: the data is on
its way to the disk when the write returns, and its memory is free soon after."""
_UNCACHED_SINCE: Final = (6, 17)
"""Linux 6.14 has it, but it was withdrawn for faults and came back mended with 6.16."""
_SLOW_US: Final = 50_000
"""A disk that takes so long for one write is slower than the traffic; the page cache then takes
up what comes, as it does for a writer that does not ask."""
_COMPACT_BYTES_MAX: Final = 256 << 20
"""Beyond this a clean close only appends the index: rewriting a gigabyte would keep a person who
pressed Ctrl-C waiting. ``comfyrec convert`` compacts it at leisure."""


def _tool() -> str:
    from comfyrec import __version__

    return f"comfyrec {__version__}"


# --- opening ---------------------------------------------------------------------------------


class _File:
    """A file that is open for reading, as a ``Source``."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # A pipe without a writer would block otherwise.
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unavailable(path, error, "read") from None
        mode = os.fstat(self.fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(self.fd)
            why = "is a folder" if stat.S_ISDIR(mode) else "is no regular file"
            raise Unavailable(path, why, "name a cassette file")

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self.fd, size, offset)
        except OSError as error:
            raise _unavailable(self.path, error, "read") from None

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


def _unavailable(path: str, error: OSError, verb: str) -> CassetteError:
    if isinstance(error, FileNotFoundError):
        return Unavailable(path, "there is no such file or folder", "check the name")
    if isinstance(error, IsADirectoryError):
        return Unavailable(path, "is a folder", "name a cassette file")
    why = error.strerror or type(error).__name__
    return Unavailable(path, f"cannot {verb} it ({why})", "check its rights and the disk")


_FOREIGN: Final = (
    (
        '"format": "comfy-wire-capture/',
        "is a raw capture; 'comfyrec convert' makes a cassette of it",
    ),
    ('"log"', "looks like HAR; 'comfyrec convert' makes a cassette of it"),
)


def _engine(source: _File, *, beyond_holes: bool) -> tuple[Encoding, PackedReader | TextReader]:
    """Tell the encoding by content and open the reader for it."""
    start = source.read_at(0, _START_BYTES)
    if not start:
        raise NotACassette(source.path, "is empty; nothing was recorded into it")
    if container.is_packed(start):
        return "packed", PackedReader(source, beyond_holes=beyond_holes)
    if text.is_text(start):
        return "jsonl", TextReader(source, beyond_holes=beyond_holes)
    head = start[:400].decode("latin-1")
    for mark, why in _FOREIGN:
        if head.startswith("{") and mark in head:
            raise NotACassette(source.path, why)
    raise NotACassette(source.path, "is no cassette; 'comfyrec record' and 'convert' write them")


class Reader:
    """A cassette that is open for reading; iterate over it for its records.

    ``header`` is the first session; ``problems`` fills while reading with what is damaged or
    missing, as errors that are not raised. Iterating again starts from the beginning.
    """

    def __init__(self, path: str, *, beyond_holes: bool = False) -> None:
        self.path = path
        self._beyond_holes = beyond_holes
        self._file = _File(path)
        try:
            self.encoding, self._reading = _engine(self._file, beyond_holes=beyond_holes)
            first = next(iter(self._reading.records()), None)
        except BaseException:
            self._file.close()
            raise
        self.header = first if isinstance(first, Session) else Session(0, 0)
        self._reading = _engine(self._file, beyond_holes=beyond_holes)[1]

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

    def __iter__(self) -> Iterator[AnyRecord]:
        self._reading = _engine(self._file, beyond_holes=self._beyond_holes)[1]
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
    source = _File(path)
    try:
        found = None
        if container.is_packed(source.read_at(0, _START_BYTES)) and source.size():
            with (
                mmap.mmap(source.fd, 0, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as view,
            ):
                found = unpack.summary(view, source.read_ahead)
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


def _encoding_for(path: str, encoding: Encoding | None) -> Encoding:
    return encoding or ("jsonl" if path.lower().endswith(".jsonl") else "packed")


def _write_all(fd: int, data: bytes) -> int:
    """Write until all is with the operating system, and say how much that was."""
    done = os.write(fd, data) if data else 0
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])
    return done


def _write_parts(fd: int, parts: list[bytes]) -> int:
    """Write all parts in one call, and say how much that was; large ones are not copied for it."""
    size = sum(map(len, parts))
    if size < _COPIED_BYTES_MAX or len(parts) > _PARTS_AT_ONCE:
        return _write_all(fd, b"".join(parts))
    return _write_rest(fd, parts, os.writev(fd, parts))


def _write_rest(fd: int, parts: list[bytes], done: int) -> int:
    """Write what a write of these parts has left over, and say how much there is in all."""
    left = b"".join(parts)[done:] if done < sum(map(len, parts)) else b""
    return done + _write_all(fd, left)


def _can_write_uncached() -> bool:
    if sys.platform != "linux":
        return False
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= _UNCACHED_SINCE


class _Appender:
    """Appends to a file that is open for appending.

    Large writes leave nothing in the page cache: beside the recorder runs the server, whose models
    want that memory, and where the memory of a virtual machine goes back to its host, a page that
    is new costs several times the copy into it. Readers see the same file either way.
    """

    def __init__(self, fd: int, clock_us: Callable[[], int]) -> None:
        self._fd, self._clock_us = fd, clock_us
        self._uncached = _can_write_uncached()

    def write(self, parts: list[bytes]) -> int:
        """Write all parts, and say how much that was.

        Raises:
            OSError: not all could be written.
        """
        size = sum(map(len, parts))
        if size < _COPIED_BYTES_MAX:
            return _write_all(self._fd, b"".join(parts))
        if self._uncached and len(parts) <= _PARTS_AT_ONCE:
            return _write_rest(self._fd, parts, self._written_uncached(parts))
        return _write_parts(self._fd, parts)

    def _written_uncached(self, parts: list[bytes]) -> int:
        """How much went out so; none where the file system does not take it."""
        before = self._clock_us()
        try:
            done = os.pwritev(self._fd, parts, 0, _UNCACHED)  # the offset is that of the end
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            self._uncached = False
            return 0
        self._uncached = self._clock_us() - before < _SLOW_US
        return done


class LastScan(Protocol):
    """What finds late secrets: ``comfyrec.cassette.redact.Redactor``."""

    @property
    def known(self) -> tuple[bytes, ...]:
        """The secrets met so far."""
        ...

    def record(self, record: AnyRecord) -> AnyRecord:
        """The record without them; the same object when it has none."""
        ...


class Writer:
    """A cassette that is being recorded. Made by ``create_cassette``.

    ``add`` takes records, ``flush`` hands all of them to the operating system in one write. A
    flush that fails drops what it held (``lost`` counts it), leaves the file as it was, and gives
    the numbers back, so that what is added later still reads.
    """

    def __init__(
        self,
        path: str,
        fd: int,
        encoding: Encoding,
        *,
        next_seq: int,
        size: int,
        session: Session,
        encode: Callable[[list[AnyRecord]], list[bytes]],
        start: bytes,
        whole: bool,
        clock_us: Callable[[], int],
        redactor: LastScan | None,
    ) -> None:
        self._redactor = redactor
        self.path, self.encoding = path, encoding
        self.lost = 0
        self._fd = fd
        self._append = _Appender(fd, clock_us).write
        self._size = size
        self._encode = encode
        self._whole = whole
        self._clock_us = clock_us
        self._seq_on_disk = next_seq
        self.next_seq = next_seq + 1
        """The number that the next record shall have."""
        self._start = [start] if start else []
        self._pending: list[AnyRecord] = [session]
        self.flush()

    def add(self, record: AnyRecord) -> None:
        """Take a record whose ``seq`` is ``next_seq``; nothing is written before ``flush``."""
        self._pending.append(record)
        self.next_seq = record.seq + 1

    def write(self, records: list[AnyRecord]) -> None:
        """Add these records, at least one, and flush."""
        self._pending += records
        self.next_seq = records[-1].seq + 1
        self.flush()

    def flush(self) -> None:
        """Hand everything added to the operating system, in one write, without fsync.

        Raises:
            OSError: it could not be written; what was pending is lost and counted in ``lost``.
            ValueError: it cannot be encoded; the same.
        """
        pending = self._pending
        if not pending:
            return
        self._pending = []
        try:
            self._size += self._append(self._start + self._encode(pending))
        except Exception:
            self.lost += self.next_seq - self._seq_on_disk
            if self._taken_back():
                self.next_seq = self._seq_on_disk
            else:
                self._seq_on_disk = self.next_seq
            raise
        self._start = []
        self._seq_on_disk = self.next_seq

    def _taken_back(self) -> bool:
        """Cut off what was half written. Where even that fails, readers find the next record, and
        the numbers of those that may be read from the first half are not given again."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            return False
        return True

    def close(self, *, lost: int = 0) -> str:
        """End the session, then bring a packed file into its final form.

        Args:
            lost: records that could not be written and that no note counts yet.

        Returns:
            Why a packed file was left as it was while recording (it reads all the same), or "".

        Raises:
            OSError: the end could not be written; what was recorded before stays readable.
            SecretKept: a secret met late stands in earlier records and could not be taken out.
        """
        if self._fd < 0:
            return ""
        try:
            return self._finish(lost)
        finally:
            self.abandon()

    def _finish(self, lost: int) -> str:
        unwritten, failed = self._write_end(lost)
        why = self._why_left()
        if not why:
            why = self._rewrite(unwritten)
        if why:
            self._last_scan(unwritten, why)
        if failed is not None and why:
            raise failed
        return why if self.encoding == "packed" else ""

    def _write_end(self, lost: int) -> tuple[list[AnyRecord], OSError | None]:
        """Write the end; if that fails, the records that are still to be written, and why."""
        try:
            self.flush()
            self.write(self._last_records(lost))
        except OSError as error:
            return self._last_records(lost), error
        return [], None

    def _last_records(self, lost: int) -> list[AnyRecord]:
        seq, t = self.next_seq, self._clock_us()
        if not lost:
            return [End(seq, t, seq)]
        return [Note(seq, t, 0, "lost", "until the end", lost), End(seq + 1, t, seq + 1)]

    def _why_left(self) -> str:
        """Why the file shall not be written anew, or ""."""
        if not self._whole:
            return "it was damaged before, and nothing that cannot be read is overwritten"
        if self.encoding != "packed":
            return "it is text already"
        if self._size > _COMPACT_BYTES_MAX:
            return "it is large; 'comfyrec convert' makes it smaller"
        return ""

    def _rewrite(self, unwritten: list[AnyRecord]) -> str:
        """Replace the file by its final form, all at once; why that failed, or ""."""
        again = self._redactor.record if self._redactor and self._redactor.known else None
        try:
            with open_cassette(self.path) as reader, _replacing(self.path, only_copy=True) as fd:
                records: Iterator[AnyRecord] = iter(reader)
                if again is not None:
                    records = map(again, records)
                _write_records(fd, chain(records, unwritten), self.encoding)
                if not reader.unharmed:
                    raise OSError(errno.EIO, "it was damaged while it was recorded")
        except (OSError, CassetteError) as error:
            return f"it could not be written anew ({getattr(error, 'strerror', None) or error})"
        return ""

    def _last_scan(self, unwritten: list[AnyRecord], why: str) -> None:
        """No known secret stays, though the file was left as it is for this reason."""
        if self._redactor is None or not self._redactor.known:
            return
        with open_cassette(self.path) as reader:
            count = sum(self._redactor.record(record) is not record for record in reader)
        if not count:
            return
        if self._whole:
            why = self._rewrite(unwritten)
        if why:
            raise SecretKept(self.path, count, why)

    def abandon(self) -> None:
        """Let go of the file without an end, as a killed recorder does."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def _replacing(path: str, *, only_copy: bool = False) -> Iterator[int]:
    """A new file beside ``path`` that takes its place when all went well.

    With ``only_copy`` it is on the disk before it does: what it replaces cannot be made again.
    """
    beside = f"{path}.part"
    fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        yield fd
        if only_copy:
            os.fsync(fd)
        os.replace(beside, path)  # noqa: PTH105 - both names are plain strings
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # noqa: PTH108 - see above
        raise
    finally:
        os.close(fd)


def _pack_into(fd: int, records: Iterable[AnyRecord]) -> None:
    iterator = iter(records)
    first = next(iterator)
    assert isinstance(first, Session), "a cassette begins with its session"

    def write(parts: list[bytes]) -> None:
        for at in range(0, len(parts), _PARTS_AT_ONCE):
            _write_parts(fd, parts[at : at + _PARTS_AT_ONCE])

    try:
        writer = GroupWriter(first, write, lambda offset, size: os.pread(fd, size, offset))
        writer.add_all(iterator)
        writer.finish()
    except OverflowError:
        raise CassetteError(
            "the recording holds a number of more than 64 bits, for which the packed encoding has "
            "no place; keep it in a file that ends in .jsonl"
        ) from None


def _write_records(fd: int, records: Iterable[AnyRecord], encoding: Encoding) -> None:
    if encoding == "packed":
        _pack_into(fd, records)
    else:
        _write_lines(fd, records)


def _write_lines(fd: int, records: Iterable[AnyRecord]) -> None:
    pending: list[bytes] = []
    size = 0
    for record in records:
        line = text.encode_line(record)
        pending.append(line)
        size += len(line)
        if size >= _START_BYTES:
            _write_all(fd, b"".join(pending))
            pending, size = [], 0
    _write_all(fd, b"".join(pending))


def write_cassette(
    path: str | os.PathLike[str],
    records: Iterable[AnyRecord],
    *,
    overwrite: bool = False,
    encoding: Encoding | None = None,
) -> None:
    """Write records that exist already (the first is a ``Session``) into a new, finished cassette.

    Raises:
        CassetteExists: the file is there and ``overwrite`` is not given.
        Unavailable: it cannot be written.
    """
    path = os.fspath(path)
    _refuse_existing(path, overwrite=overwrite)
    try:
        with _replacing(path) as fd:
            _write_records(fd, records, _encoding_for(path, encoding))
    except OSError as error:
        raise _unavailable(path, error, "write") from None


def create_cassette(
    path: str | os.PathLike[str],
    *,
    upstream: str = "",
    about: dict[str, Any] | None = None,
    redacted: tuple[str, ...] = ("secret",),
    clock_us: Callable[[], int],
    overwrite: bool = False,
    append: bool = False,
    encoding: Encoding | None = None,
    redactor: LastScan | None = None,
) -> Writer:
    """Open a cassette to record into, and write its ``Session``.

    Args:
        clock_us: gives Unix time in integer microseconds.
        encoding: of a new file; by default ``jsonl`` for that suffix, else ``packed``.
        redactor: the one that the records went through: at the close the secrets that it met late
            are taken out of what was recorded before them.

    Raises:
        CassetteExists: the file holds something, and neither ``overwrite`` nor ``append`` is given.
        CassetteInUse: another writer has it.
        Unavailable: it cannot be written.
    """
    path = os.fspath(path)
    fd = _locked(path)
    try:
        size = os.fstat(fd).st_size
        if size and not (overwrite or append):
            raise CassetteExists(path, "give another name, --append or --overwrite")
        if size and overwrite:
            os.ftruncate(fd, 0)
            size = 0
        now = clock_us()
        shown = hide_in_url(upstream)
        session = Session(
            0, now, FORMAT, FORMAT, _tool(), shown, tuple(redacted), dict(about or {})
        )
        kind = _encoding_for(path, encoding)
        next_seq, whole, start = 0, True, b""
        if size:
            kind, next_seq, whole, first = _survey(path)
            session = msgspec.structs.replace(session, seq=next_seq)
            encode, start = _append_encoder(path, kind, size, first)
        elif kind == "packed":
            encode = container.frame_encoder(container.salt_of(container.encode(session)))
            start = container.header(session)
        else:
            encode = text.encode_lines
        return Writer(
            path,
            fd,
            kind,
            next_seq=next_seq,
            size=size,
            session=session,
            encode=encode,
            start=start,
            whole=whole,
            clock_us=clock_us,
            redactor=redactor,
        )
    except OSError as error:
        os.close(fd)
        raise _unavailable(path, error, "write") from None
    except BaseException:
        os.close(fd)
        raise


def _survey(path: str) -> tuple[Encoding, int, bool, int]:
    """(encoding, next number, whether all of it reads, salt) of a cassette to append to."""
    with open_cassette(path) as reader:
        for _ in reader:
            continue
        reading = reader._reading
        salt = reading.salt if isinstance(reading, PackedReader) else 0
        return reader.encoding, reading.order.expected, reader.unharmed, salt


def _append_encoder(
    path: str, kind: Encoding, size: int, salt: int
) -> tuple[Callable[[list[AnyRecord]], list[bytes]], bytes]:
    if kind == "packed":
        return container.frame_encoder(salt), b""
    source = _File(path)
    last = source.read_at(size - 1, 1)
    source.close()
    return text.encode_lines, b"" if last == b"\n" else b"\n"


def _locked(path: str) -> int:
    """Open for appending and lock; a file that was replaced meanwhile is opened again."""
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise _unavailable(path, error, "write") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise CassetteInUse(path) from None
        if os.path.samestat(os.fstat(fd), os.stat(path)):  # noqa: PTH116 - a plain string
            return fd
        os.close(fd)


# --- other files -----------------------------------------------------------------------------


def is_cassette(start: bytes) -> bool:
    """Whether these first bytes are of a cassette of either encoding."""
    return container.is_packed(start) or text.is_text(start)


def same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether both names are of one existing file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)  # noqa: PTH110, PTH121 - names as given


def read_start(path: str) -> bytes:
    """The first bytes of any file, to tell what it is."""
    source = _File(path)
    try:
        return source.read_at(0, _START_BYTES)
    finally:
        source.close()


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a text file, with their ends."""
    source = _File(path)
    with os.fdopen(source.fd, "rb") as file:
        yield from file


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool) -> None:
    """Write a whole file that is no cassette, all at once.

    Raises:
        CassetteExists: the file is there and ``overwrite`` is not given.
        Unavailable: it cannot be written.
    """
    path = os.fspath(path)
    _refuse_existing(path, overwrite=overwrite)
    try:
        with _replacing(path) as fd:
            _write_all(fd, data)
    except OSError as error:
        raise _unavailable(path, error, "write") from None


def _refuse_existing(path: str, *, overwrite: bool) -> None:
    if not overwrite and os.path.exists(path) and os.path.getsize(path):  # noqa: PTH110, PTH202 - as above
        raise CassetteExists(path)


# --- bundled cassettes -----------------------------------------------------------------------


def _shelves() -> list[Path]:
    package = Path(__file__).parents[1]
    return [package / "_cassettes", package.parent / "cassettes"]


def _all_bundled() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for shelf in _shelves():
        if shelf.is_dir():
            for path in sorted(shelf.iterdir()):
                if path.suffix in SUFFIXES:
                    found.setdefault(path.stem, path)
    return found


def bundled() -> list[str]:
    """Names of the cassettes that come with the package."""
    return sorted(_all_bundled())


def find_cassette(name: str | os.PathLike[str]) -> str:
    """A path as it is, or the path of a bundled cassette by its name, with or without suffix.

    Raises:
        Unavailable: neither; the sentence names the nearest.
    """
    given = os.fspath(name)
    if Path(given).exists():
        return given
    shelf = _all_bundled()
    for path in shelf.values():
        if given in (path.stem, path.name):
            return str(path)
    near = nearest(Path(given).stem, shelf)
    mend = f"did you mean the bundled '{near}'?" if near else "check the name"
    raise Unavailable(given, "there is no such file", mend)
