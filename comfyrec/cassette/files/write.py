"""Writing a whole cassette at once, from records that exist already."""

from __future__ import annotations

import os
from collections.abc import Iterable

from comfyrec.cassette import text
from comfyrec.cassette.encodings import START_BYTES, Encoding
from comfyrec.cassette.files.append import PARTS_AT_ONCE, write_all, write_parts
from comfyrec.cassette.files.open import unavailable
from comfyrec.cassette.files.replace import refuse_existing, replacing
from comfyrec.cassette.packed.pack import GroupWriter
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.errors import CassetteError

__all__ = ["encoding_for", "write_cassette", "write_records"]


def encoding_for(path: str, encoding: Encoding | None) -> Encoding:
    """The encoding that was asked for, or the one that the suffix says."""
    return encoding or ("jsonl" if path.lower().endswith(".jsonl") else "packed")


def write_records(fd: int, records: Iterable[AnyRecord], encoding: Encoding) -> None:
    """Write all records into an empty file, in the final form of the encoding."""
    if encoding == "packed":
        _pack_into(fd, records)
    else:
        _write_lines(fd, records)


def _pack_into(fd: int, records: Iterable[AnyRecord]) -> None:
    iterator = iter(records)
    first = next(iterator)
    assert isinstance(first, Session), "a cassette begins with its session"

    def write(parts: list[bytes]) -> None:
        for at in range(0, len(parts), PARTS_AT_ONCE):
            write_parts(fd, parts[at : at + PARTS_AT_ONCE])

    try:
        writer = GroupWriter(first, write, lambda offset, size: os.pread(fd, size, offset))
        writer.add_all(iterator)
        writer.finish()
    except OverflowError:
        raise CassetteError(
            "the recording holds a number of more than 64 bits, for which the packed encoding has "
            "no place; keep it in a file that ends in .jsonl"
        ) from None


def _write_lines(fd: int, records: Iterable[AnyRecord]) -> None:
    pending: list[bytes] = []
    size = 0
    for record in records:
        line = text.encode_line(record)
        pending.append(line)
        size += len(line)
        if size >= START_BYTES:
            write_all(fd, b"".join(pending))
            pending, size = [], 0
    write_all(fd, b"".join(pending))


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
        CassetteInUse: a recorder is writing it.
        Unavailable: it cannot be written.
    """
    path = os.fspath(path)
    refuse_existing(path, overwrite=overwrite)
    try:
        with replacing(path) as fd:
            write_records(fd, records, encoding_for(path, encoding))
    except OSError as error:
        raise unavailable(path, error, "write") from None
