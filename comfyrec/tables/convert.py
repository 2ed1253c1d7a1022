"""Cassettes on disk -> rows as JSON Lines, several at a time, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

import msgspec

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.errors import CassetteError, TablesError, UsageError
from comfyrec.tables.rows import rows_of_records
from comfyrec.wording import reason

__all__ = ["Converted", "cassettes_in", "convert", "convert_all", "jobs_by_default"]

SUFFIXES: Final = (".crec", ".jsonl")
ALONE_MAX: Final = 40
"""So few files are read sooner than processes start."""
AHEAD: Final = 2
"""Files for each process that are read before their rows are taken."""

_lines: Final = msgspec.json.Encoder().encode_lines


class Converted(msgspec.Struct, kw_only=True):
    """One file as rows, or why it gave none."""

    path: str
    recording: str = ""
    """Id of the recording; empty when the file was skipped."""
    lines: dict[str, bytes] = {}
    """Table -> its rows, one JSON object a line."""
    counts: dict[str, int] = {}
    """Table -> how many rows."""
    problems: tuple[str, ...] = ()
    """What is wrong with it, a sentence each; at most three."""
    size: int = 0
    mtime_ns: int = 0

    @property
    def skipped(self) -> bool:
        """Whether nothing was taken of it."""
        return not self.recording


def cassettes_in(names: Sequence[Path]) -> list[Path]:
    """The files or bundled cassettes that were named, and all in the folders that were, in order.

    Raises:
        Unavailable: one of them is not there.
        UsageError: a folder holds no cassette, or cannot be looked into.
    """
    found: list[Path] = []
    for name in names:
        if name.is_dir():
            inside = sorted(p for p in _inside(name) if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise UsageError(
                    f"{name} holds no cassettes (.crec or .jsonl); name another folder"
                )
            found += inside
        else:
            found.append(Path(find_cassette(name)))
    return list(dict.fromkeys(found))


def _inside(folder: Path) -> Iterator[Path]:
    """What is in a folder and those below it.

    Raises:
        UsageError: one of them cannot be looked into; what is in it would be missing unsaid.
    """

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"{error.filename}: {reason(error)}; make it readable or name the other folders"
        ) from None

    for root, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(root, name) for name in names)


def convert(path: str, tables: tuple[str, ...]) -> Converted:
    """The rows of one file. Never raises on what is wrong with the file.

    One that lacks its end is taken as far as it goes. One that is damaged is skipped: of what is
    missing inside it nobody knows how it would have changed the times.
    """
    try:
        with open_cassette(path) as reader:
            stat = os.stat(path)  # noqa: PTH116 - a plain string
            rows = rows_of_records(reader, reader, source=path, tables=tables)
    except CassetteError as wrong:
        return Converted(path=path, problems=(f"{wrong}; skipped",))
    except (OSError, MemoryError, RecursionError) as wrong:
        return Converted(path=path, problems=(f"{path}: {wrong!r} while reading it; skipped",))
    problems = tuple(str(problem) for problem in rows.problems[:2])
    if rows.damaged:
        mend = f"{path}: skipped; 'comfyrec recover' keeps what can be read of it"
        return Converted(path=path, problems=(*problems, mend))
    return Converted(
        path=path,
        recording=rows.recording,
        lines={name: _lines(of_table) for name, of_table in rows.tables.items()},
        counts={name: len(of_table) for name, of_table in rows.tables.items()},
        problems=problems,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
    )


def jobs_by_default() -> int:
    """How many files are read at once unless it is said."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2


def convert_all(
    paths: Sequence[Path], tables: tuple[str, ...], *, jobs: int
) -> Iterator[Converted]:
    """The rows of each file, in the order of the files.

    Args:
        paths: the files.
        tables: which tables are wanted.
        jobs: processes that read at once; few files are read in this one.
    """
    if jobs <= 1 or len(paths) <= ALONE_MAX:
        for path in paths:
            yield convert(os.fspath(path), tables)
        return
    waiting: deque[Future[Converted]] = deque()
    # Not forked: whoever calls may have threads, as DuckDB does.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(convert, os.fspath(path), tables))
                if len(waiting) > AHEAD * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise TablesError(
                "a process that was reading cassettes was killed, most likely for want of memory; "
                "give --jobs 1"
            ) from None
        finally:
            for future in waiting:
                future.cancel()
