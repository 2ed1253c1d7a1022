"""A folder of Parquet files: what is in it, and adding recordings to it, each exactly once.

``comfyrec-tables.jsonl`` in the folder is the truth: one line for each batch that was added, with
its files and its recordings. A file that no line names is what an export left that was killed, and
goes at the next one. Files come before the line that names them, and files that a line drops go
after it, so an export can be killed at any moment and run again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from comfyrec.cassette.files.lock import lock_at_once
from comfyrec.errors import TablesError, UsageError
from comfyrec.tables.convert import Converted
from comfyrec.tables.duck import quoted, rows_in
from comfyrec.tables.schema import PARTITIONS, TABLES, TABLES_VERSION
from comfyrec.wording import reason

__all__ = ["MANIFEST", "Store", "is_store", "opened_store"]

MANIFEST: Final = "comfyrec-tables.jsonl"
BATCH_BYTES: Final = 48 << 20
"""Rows as JSON Lines that are gathered before files are written: larger files are read quicker."""
_OURS: Final = re.compile(r"[0-9a-f]{24}-\d+\.parquet")
_WORK: Final = ".export"


class Source(msgspec.Struct, omit_defaults=True):
    """A recording that the folder holds, and the file that it was read from."""

    path: str
    size: int
    mtime_ns: int


class Batch(msgspec.Struct, omit_defaults=True):
    """A line of the manifest."""

    tables_version: int = TABLES_VERSION
    files: list[str] = []
    """Names of files from the folder on."""
    recordings: dict[str, Source] = {}
    """Id -> where it came from."""
    dropped_files: list[str] = []
    dropped_recordings: list[str] = []


def is_store(folder: Path) -> bool:
    """Whether a folder holds tables, from here or from another writer.

    Raises:
        UsageError: it cannot be looked into.
    """
    try:
        return (folder / MANIFEST).is_file() or any((folder / "sessions").rglob("*.parquet"))
    except PermissionError as error:
        why = f"{reason(error)}; make it readable or name another folder"
        raise UsageError(f"{folder}: {why}") from None


@contextlib.contextmanager
def opened_store(folder: Path, connection: Any) -> Iterator[Store]:
    """A folder of tables, made where there is none, held against other exports.

    Raises:
        UsageError: it is in use, or holds something else or tables of another version.
        TablesError: it cannot be written.
    """
    try:
        with _manifest_in(folder) as manifest:
            try:
                lock_at_once(manifest.fileno())
            except OSError:
                why = "another export writes into it; wait for that one or name another folder"
                raise UsageError(f"{folder}: {why}") from None
            store = Store(folder, connection, manifest)
            try:
                yield store
            finally:
                store.clear_work()
    except OSError as wrong:
        where = wrong.filename or folder
        raise TablesError(
            f"{where}: {wrong.strerror or wrong}; make room or name another folder, then run it "
            f"again: what is finished stays"
        ) from None


def _manifest_in(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / MANIFEST).open("a+b")
    except (FileExistsError, NotADirectoryError, PermissionError) as wrong:
        raise UsageError(
            f"{folder} is not a folder that can be written ({wrong.strerror}); name a folder for "
            f"the tables first, then the cassettes"
        ) from None


class Store:
    """Made by ``opened_store``."""

    def __init__(self, folder: Path, connection: Any, manifest: BinaryIO) -> None:
        self._folder, self._duck, self._manifest = folder, connection, manifest
        self._files: dict[str, list[str]] = {}
        self._recordings: dict[str, Source] = {}
        self._pending: list[Converted] = []
        self._pending_bytes = 0
        self._read_manifest()
        self._by_path = {one.path: key for key, one in self._recordings.items()}
        self.clear_work()
        self._remove_unnamed()
        self.rows = 0
        """Rows that were added."""

    def _read_manifest(self) -> None:
        self._manifest.seek(0)
        whole = 0
        for line in self._manifest:
            if not line.endswith(b"\n"):  # an export was killed while it wrote it
                self._manifest.truncate(whole)
                break
            whole += len(line)
            try:
                batch = msgspec.json.decode(line, type=Batch)
            except msgspec.MsgspecError as wrong:
                name = self._folder / MANIFEST
                why = f"does not list tables ({wrong}); name another folder"
                raise UsageError(f"{name}: {why}") from None
            if batch.tables_version != TABLES_VERSION:
                raise UsageError(
                    f"{self._folder} holds tables of version {batch.tables_version}, and this "
                    f"comfyrec writes version {TABLES_VERSION}; name another folder"
                )
            self._take(batch)

    def _take(self, batch: Batch) -> None:
        for name in batch.dropped_files:
            self._files.pop(name, None)
        for key in batch.dropped_recordings:
            self._recordings.pop(key, None)
        for name in batch.files:
            self._files[name] = list(batch.recordings)
        self._recordings |= batch.recordings

    def _remove_unnamed(self) -> None:
        """What an export that was killed left."""
        for table in TABLES:
            for path in (self._folder / table).rglob("*.parquet"):
                name = path.relative_to(self._folder).as_posix()
                if name not in self._files and _OURS.fullmatch(path.name):
                    path.unlink()

    def clear_work(self) -> None:
        """Remove what is only needed while writing."""
        shutil.rmtree(self._folder / _WORK, ignore_errors=True)

    def is_new(self, path: Path) -> bool:
        """Whether a file is not in the folder yet, or has changed since."""
        key = self._by_path.get(os.fspath(path.resolve()))
        if key is None:
            return True
        known, now = self._recordings[key], path.stat()
        return (known.size, known.mtime_ns) != (now.st_size, now.st_mtime_ns)

    def add(self, converted: Converted) -> bool:
        """Take the rows of one file; False: the folder has this recording from another file."""
        converted.path = os.path.realpath(converted.path)
        known = {one.recording: one for one in self._pending}
        same = self._recordings.get(converted.recording)
        if converted.recording in known or (same is not None and same.path != converted.path):
            return False
        if same is not None:  # touched, and still the same recording
            self._put(Batch(recordings={converted.recording: _source(converted)}))
        else:
            self._pending.append(converted)
            self._pending_bytes += sum(map(len, converted.lines.values()))
            if self._pending_bytes >= BATCH_BYTES:
                self.commit()
        return True

    def commit(self) -> None:
        """Write what was added; then it stays, whatever happens."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if not pending:
            return
        names = sorted(one.recording for one in pending)
        batch = Batch(recordings={one.recording: _source(one) for one in pending})
        replaced = [
            key for one in pending if (key := self._by_path.get(one.path)) and key not in names
        ]
        batch.files = self._written(pending, _name(names))
        self._put(batch)
        self._drop(replaced)
        self._by_path |= {one.path: one.recording for one in pending}
        self.rows += sum(sum(one.counts.values()) for one in pending)

    def _written(self, pending: Sequence[Converted], name: str) -> list[str]:
        """Write the files of a batch and give their names."""
        files: list[str] = []
        for table in TABLES:
            work = self._folder / _WORK
            work.mkdir(exist_ok=True)
            lines = work / f"{table}.jsonl"
            with lines.open("wb") as file:
                for one in pending:
                    file.write(one.lines[table])
                    one.lines[table] = b""
            if lines.stat().st_size:
                files += self._parquet(table, rows_in(os.fspath(lines), table), name)
            lines.unlink()
        return files

    def _parquet(self, table: str, rows: str, name: str) -> list[str]:
        made = self._folder / _WORK / table
        self._duck.execute(
            f"copy (select * from {rows} order by recording) to {quoted(os.fspath(made))} ("
            f"format parquet, compression zstd, partition_by ({', '.join(PARTITIONS)}), "
            f"write_partition_columns true, filename_pattern {quoted(name + '-{i}')}, "
            f"kv_metadata {{comfyrec_tables_version: '{TABLES_VERSION}'}})"
        )
        files = []
        for path in sorted(made.rglob("*.parquet")):
            place = f"{table}/{path.relative_to(made).as_posix()}"
            target = self._folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            files.append(place)
        shutil.rmtree(made, ignore_errors=True)
        return files

    def _drop(self, recordings: Sequence[str]) -> None:
        """Take recordings out of the files that hold them: their source was recorded on."""
        gone = set(recordings)
        touched = [name for name, held in self._files.items() if gone & set(held)]
        for table in TABLES:
            old = [name for name in touched if name.startswith(f"{table}/")]
            if not old:
                continue
            kept = {key for name in old for key in self._files[name]} - gone
            batch = Batch(dropped_files=old, dropped_recordings=sorted(gone))
            if kept:
                (self._folder / _WORK).mkdir(exist_ok=True)
                source = ", ".join(quoted(os.fspath(self._folder / name)) for name in old)
                ids = ", ".join(map(quoted, sorted(gone)))
                rows = (
                    f"read_parquet([{source}], hive_partitioning = false) "
                    f"where recording not in ({ids})"
                )
                batch.files = self._parquet(table, rows, _name([*old, *sorted(gone)]))
                batch.recordings = {k: v for k, v in self._recordings.items() if k in kept}
            self._put(batch)
            for name in old:
                (self._folder / name).unlink(missing_ok=True)

    def _put(self, batch: Batch) -> None:
        self._manifest.seek(0, os.SEEK_END)
        self._manifest.write(msgspec.json.encode(batch) + b"\n")
        self._manifest.flush()
        os.fsync(self._manifest.fileno())
        self._take(batch)


def _source(one: Converted) -> Source:
    return Source(one.path, one.size, one.mtime_ns)


def _name(parts: Sequence[str]) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
