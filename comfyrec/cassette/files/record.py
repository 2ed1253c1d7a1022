"""A cassette that is being recorded: from its session to its clean end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec

from comfyrec.cassette import text
from comfyrec.cassette.files.append import Appender
from comfyrec.cassette.files.lock import PRIVATE, Displaced, displaced, open_locked, try_lock
from comfyrec.cassette.files.open import Encoding, OpenFile, open_cassette, unavailable
from comfyrec.cassette.files.replace import replacing
from comfyrec.cassette.files.write import encoding_for, write_records
from comfyrec.cassette.packed import container
from comfyrec.cassette.records import FORMAT, AnyRecord, End, Note, Session
from comfyrec.cassette.redact.redactor import hide_in_url
from comfyrec.errors import CassetteError, CassetteExists, SecretKept

__all__ = ["Writer", "create_cassette"]

_COMPACT_BYTES_MAX: Final = 256 << 20
"""Beyond this a clean close only appends the index: rewriting a gigabyte would keep a person who
pressed Ctrl-C waiting. ``comfyrec convert`` compacts it at leisure."""
_COPY_BYTES: Final = 1 << 20


class RecordRedactor(Protocol):
    """What finds late secrets: ``comfyrec.cassette.redact.Redactor``."""

    def knows_secrets(self) -> bool:
        """Whether there is anything to look for."""
        ...

    def rescan(self) -> None:
        """The same records come once more, from the first on."""
        ...

    def record(self, record: AnyRecord) -> AnyRecord:
        """The record without them; the same object when it has none."""
        ...


class _Beginning(NamedTuple):
    """What a file holds before the records of this session, and how they are added to it."""

    encoding: Encoding
    next_seq: int
    size: int
    whole: bool
    encode: Callable[[list[AnyRecord]], list[bytes]]
    start: bytes


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
        beginning: _Beginning,
        session: Session,
        *,
        clock_us: Callable[[], int],
        redactor: RecordRedactor | None,
    ) -> None:
        self._redactor = redactor
        self.path, self.encoding = path, beginning.encoding
        self.lost = 0
        self._fd = fd
        self._append = Appender(fd, clock_us).write
        self._size = beginning.size
        self._encode = beginning.encode
        self._whole = beginning.whole
        self._clock_us = clock_us
        self._seq_on_disk = self._first_seq = beginning.next_seq
        self.next_seq = beginning.next_seq + 1
        """The number that the next record shall have."""
        self._start = [beginning.start] if beginning.start else []
        self._pending: list[AnyRecord] = [session]
        self.flush()

    @property
    def written(self) -> int:
        """Records that this session has put into the file, its beginning and end among them."""
        return self._seq_on_disk - self._first_seq

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

    @property
    def size(self) -> int:
        """Bytes that were written into the file so far."""
        return self._size

    # --- a file that somebody moves, removes or replaces ------------------------------------

    def keep_place(self) -> str:
        """See that the recording still stands where it can be found.

        A file that was moved is followed to its new name. One that was removed or replaced is
        written anew, under its own name or one beside it.

        Returns:
            One sentence for a person when something had happened, else "".
        """
        gone = displaced(self.path, self._fd) if self._fd >= 0 else None
        if gone is None:
            return ""
        if gone.moved_to:
            old, self.path = self.path, gone.moved_to
            return f"{old} was moved while it was recorded; the recording goes on in {self.path}"
        try:
            return self._restored(gone)
        except OSError as error:
            return (
                f"{self.path} is gone, and the recording could not be written anew "
                f"({error.strerror}); what was recorded is lost unless there is room for it and "
                f"its folder is there before the recording ends"
            )

    def _restored(self, gone: Displaced) -> str:
        old, path = self.path, self.path
        if gone.name_is_taken or not gone.removed:
            stem, suffix = os.path.splitext(path)  # noqa: PTH122 - names as given
            path = f"{stem}.{os.urandom(4).hex()}{suffix}"
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - as above
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, PRIVATE)
        try:
            try_lock(fd, path)
            copy = Appender(fd, self._clock_us)
            for at in range(0, self._size, _COPY_BYTES):
                copy.write([os.pread(self._fd, min(_COPY_BYTES, self._size - at), at)])
        except BaseException:
            os.close(fd)
            os.unlink(path)  # noqa: PTH108 - as above
            raise
        os.close(self._fd)
        self.path, self._fd, self._append = path, fd, copy.write
        what = "replaced by another file" if gone.name_is_taken else "removed"
        return f"{old} was {what} while it was recorded; all that was recorded stands in {path}"

    # --- the end ----------------------------------------------------------------------------

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
            self.keep_place()
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
            return (
                "it was damaged before, and nothing that cannot be read is overwritten "
                f"('comfyrec recover {self.path} -o NEW' writes what can be read)"
            )
        if displaced(self.path, self._fd) is not None:
            return "it no longer stands under its name"
        if self.encoding != "packed":
            return "it is text already"
        if self._size > _COMPACT_BYTES_MAX:
            return "it is large; 'comfyrec convert' makes it smaller"
        return ""

    def _rewrite(self, unwritten: list[AnyRecord]) -> str:
        """Replace the file by its final form, all at once; why that failed, or ""."""
        again = None
        if self._redactor is not None and self._redactor.knows_secrets():
            self._redactor.rescan()
            again = self._redactor.record
        try:
            with (
                open_cassette(self.path) as reader,
                replacing(self.path, only_copy=True, held=True) as fd,
            ):
                records: Iterator[AnyRecord] = iter(reader)
                if again is not None:
                    records = map(again, records)
                write_records(fd, chain(records, unwritten), self.encoding)
                if not reader.unharmed:
                    raise OSError(errno.EIO, "it was damaged while it was recorded")
        except (OSError, CassetteError) as error:
            return f"it could not be written anew ({getattr(error, 'strerror', None) or error})"
        return ""

    def _last_scan(self, unwritten: list[AnyRecord], why: str) -> None:
        """No known secret stays, though the file was left as it is for this reason."""
        if self._redactor is None or not self._redactor.knows_secrets():
            return
        self._redactor.rescan()
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


def create_cassette(
    path: str | os.PathLike[str],
    *,
    upstream: str = "",
    about: dict[str, Any] | None = None,
    redacted: Iterable[str] = ("secret",),
    clock_us: Callable[[], int],
    overwrite: bool = False,
    append: bool = False,
    encoding: Encoding | None = None,
    redactor: RecordRedactor | None = None,
) -> Writer:
    """Open a cassette to record into, and write its ``Session``. A new file is private (0600).

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
    fd = open_locked(path)
    shown = hide_in_url(upstream)
    now = clock_us()
    session = Session(0, now, FORMAT, FORMAT, _tool(), shown, tuple(redacted), dict(about or {}))
    try:
        if os.fstat(fd).st_size and not (overwrite or append):
            raise CassetteExists(path, "give another name, --append or --overwrite")
        if overwrite:
            os.ftruncate(fd, 0)
        beginning = _beginning(path, os.fstat(fd).st_size, session, encoding)
        session = msgspec.structs.replace(session, seq=beginning.next_seq)
        return Writer(path, fd, beginning, session, clock_us=clock_us, redactor=redactor)
    except OSError as error:
        os.close(fd)
        raise unavailable(path, error, "write") from None
    except BaseException:
        os.close(fd)
        raise


def _tool() -> str:
    from comfyrec import __version__

    return f"comfyrec {__version__}"


def _beginning(path: str, size: int, session: Session, encoding: Encoding | None) -> _Beginning:
    """How a session is added to a file of so many bytes."""
    if size:
        return _behind_others(path, size)
    kind = encoding_for(path, encoding)
    if kind == "jsonl":
        return _Beginning(kind, 0, 0, True, text.encode_lines, b"")
    encode = container.frame_encoder(container.salt_of(container.encode(session)))
    return _Beginning(kind, 0, 0, True, encode, container.header(session))


def _behind_others(path: str, size: int) -> _Beginning:
    """Read what a cassette holds, to append to it."""
    with open_cassette(path) as reader:
        for _ in reader:
            continue
        kind, next_seq, whole = reader.encoding, reader.next_seq, reader.unharmed
        if kind == "packed":
            return _Beginning(
                kind, next_seq, size, whole, container.frame_encoder(reader.salt), b""
            )
    source = OpenFile(path)
    last = source.read_at(size - 1, 1)
    source.close()
    return _Beginning(
        kind, next_seq, size, whole, text.encode_lines, b"" if last == b"\n" else b"\n"
    )
