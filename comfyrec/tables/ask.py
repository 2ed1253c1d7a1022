"""The questions, asked of cassettes or of tables that were exported."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.tables.convert import Converted, cassettes_in, convert_all
from comfyrec.tables.duck import columns_of, connected, quoted, rows_in
from comfyrec.tables.questions import QUESTIONS, sql_of
from comfyrec.tables.schema import TABLES, TABLES_VERSION
from comfyrec.tables.store import is_store

__all__ = ["Answer", "ask"]

LOAD_BYTES: Final = 24 << 20
"""Rows as JSON Lines that are gathered before DuckDB takes them."""
_REMOTE: Final = ("s3://", "gs://", "gcs://", "r2://", "az://", "http://", "https://")


class Answer(msgspec.Struct, frozen=True):
    """What came of one question."""

    question: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def ask(
    names: Sequence[str],
    questions: Sequence[str],
    *,
    jobs: int,
    told: Callable[[Converted], None],
) -> list[Answer]:
    """Ask each question of all recordings together.

    Args:
        names: cassettes, folders of cassettes; or folders or ``s3://`` addresses of tables.
        questions: names of ``QUESTIONS``.
        jobs: processes that read cassettes, and threads that answer.
        told: gets each cassette that was read, or that could not be.

    Raises:
        UsageError: a name is not there; cassettes and tables were mixed; DuckDB is not installed;
            tables are of another version.
        TablesError: they could not be read.
    """
    tables = tuple(t for t in TABLES if any(t in QUESTIONS[q][1] for q in questions))
    stored = [name for name in names if name.startswith(_REMOTE) or is_store(Path(name))]
    if stored and len(stored) < len(names):
        other = next(name for name in names if name not in stored)
        raise UsageError(f"{stored[0]} holds tables and {other} does not; ask them apart")
    with (
        tempfile.TemporaryDirectory(prefix="comfyrec-") as scratch,
        connected(scratch, threads=jobs) as duck,
    ):
        if stored:
            _attach(duck, stored, tables)
        else:
            paths = cassettes_in([Path(name) for name in names])
            _load(duck, convert_all(paths, tables, jobs=jobs), tables, scratch, told)
        return [_answer(duck, question) for question in questions]


def _attach(duck: Any, folders: Sequence[str], tables: Sequence[str]) -> None:
    for table in ("sessions", *tables):
        files = ", ".join(
            quoted(f"{folder.rstrip('/')}/{table}/**/*.parquet") for folder in folders
        )
        # Other writers leave the columns that name folders out of the files.
        rows = (
            f"read_parquet([{files}], union_by_name = true, "
            "hive_partitioning = true, hive_types_autocast = false)"
        )
        try:
            duck.execute(f"create or replace view {table} as select * from {rows}")
        except Exception as wrong:  # DuckDB's own, which is not imported here
            # A table without rows has no files; every recording has its row in sessions.
            if table == "sessions" or "No files found" not in str(wrong):
                raise
            duck.execute(f"create or replace table {table} ({columns_of(table)})")
    found = duck.execute("select distinct tables_version from sessions order by 1").fetchall()
    others = [str(version) for (version,) in found if version != TABLES_VERSION]
    if others:
        raise UsageError(
            f"{folders[0]} holds tables of version {', '.join(others)}, and this comfyrec reads "
            f"version {TABLES_VERSION}; export the recordings anew"
        )


def _load(
    duck: Any,
    converted: Iterator[Converted],
    tables: Sequence[str],
    scratch: str,
    told: Callable[[Converted], None],
) -> None:
    for table in tables:
        duck.execute(f"create table {table} ({columns_of(table)})")
    seen: set[str] = set()
    waiting: dict[str, list[bytes]] = {table: [] for table in tables}
    size = 0
    for one in converted:
        told(one)
        if one.skipped or one.recording in seen:
            continue
        seen.add(one.recording)
        for table in tables:
            waiting[table].append(one.lines[table])
            size += len(one.lines[table])
        if size >= LOAD_BYTES:
            _take(duck, waiting, scratch)
            size = 0
    _take(duck, waiting, scratch)


def _take(duck: Any, waiting: dict[str, list[bytes]], scratch: str) -> None:
    for table, lines in waiting.items():
        if any(lines):
            path = os.path.join(scratch, f"{table}.jsonl")  # noqa: PTH118 - a plain string
            with open(path, "wb") as file:  # noqa: PTH123 - as above
                file.writelines(lines)
            duck.execute(f"insert into {table} select * from {rows_in(path, table)}")
        lines.clear()


def _answer(duck: Any, question: str) -> Answer:
    result = duck.execute(sql_of(question))
    return Answer(question, tuple(c[0] for c in result.description), result.fetchall())
