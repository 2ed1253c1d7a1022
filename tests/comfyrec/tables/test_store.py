from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette import text
from comfyrec.cassette.files import find_cassette
from comfyrec.cli._tables import export_tables
from comfyrec.errors import UsageError
from comfyrec.tables.duck import connected
from comfyrec.tables.schema import TABLES
from comfyrec.tables.store import MANIFEST, is_store, opened_store
from tests.support.timeline_samples import run, session

duckdb = pytest.importorskip("duckdb")

NAMES = ("all-cached", "two-clients", "fresh-run-previews")


@pytest.fixture
def cassettes(tmp_path: Path) -> Path:
    folder = tmp_path / "cassettes"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(Path(find_cassette(name)), folder)
    return folder


def content(folder: Path, table: str) -> list[Any]:
    files = f"{folder}/{table}/**/*.parquet"
    if not any((folder / table).rglob("*.parquet")):
        return []
    query = f"select * from read_parquet('{files}', hive_partitioning = false) order by all"
    found: list[Any] = duckdb.sql(query).fetchall()
    return found


def files_of(folder: Path) -> Sequence[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.parquet"))


def test_files_stand_in_folders_by_day_server_and_version(tmp_path: Path, cassettes: Path) -> None:
    export_tables(tmp_path / "t", [cassettes], jobs=1)

    for name in files_of(tmp_path / "t"):
        table, day, server, version, _ = name.split("/")
        assert table in TABLES
        assert (day[:7], server, version[:8]) == ("day=202", "server=127.0.0.1-8201", "version=")


def test_a_second_export_adds_nothing(tmp_path: Path, cassettes: Path, capsys: Any) -> None:
    folder = tmp_path / "t"
    export_tables(folder, [cassettes], jobs=1)
    before, rows = files_of(folder), content(folder, "node_runs")
    shutil.copy(cassettes / "all-cached.jsonl", cassettes / "copy.jsonl")
    capsys.readouterr()

    status = export_tables(folder, [cassettes], jobs=1)

    assert status == 0
    assert (
        "3 files are in it already, unchanged; 1 file holds a recording that it has"
        in capsys.readouterr().out
    )
    assert files_of(folder) == before
    assert content(folder, "node_runs") == rows


@pytest.mark.slow
def test_one_by_one_or_together_gives_the_same_rows(tmp_path: Path, cassettes: Path) -> None:
    for path in sorted(cassettes.iterdir()):
        export_tables(tmp_path / "one", [path], jobs=1)
    export_tables(tmp_path / "all", [cassettes], jobs=1)

    for table in TABLES:
        assert content(tmp_path / "one", table) == content(tmp_path / "all", table)


@pytest.mark.slow
def test_a_recording_that_has_grown_takes_its_own_place(tmp_path: Path, cassettes: Path) -> None:
    folder, path = tmp_path / "t", cassettes / "grows.jsonl"
    lines = text.encode_lines(run(session()).end())
    path.write_bytes(b"".join(lines[:6]))
    assert export_tables(folder, [cassettes], jobs=1) == 3
    path.write_bytes(b"".join(lines))

    assert export_tables(folder, [cassettes], jobs=1) == 0

    export_tables(tmp_path / "anew", [cassettes], jobs=1)
    for table in TABLES:
        assert content(folder, table) == content(tmp_path / "anew", table)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the line", "within the line"])
def test_an_export_that_was_killed_is_taken_up_again(
    tmp_path: Path, cassettes: Path, moment: str
) -> None:
    folder = tmp_path / "t"
    export_tables(folder, [cassettes / "all-cached.jsonl"], jobs=1)
    whole = (folder / MANIFEST).read_bytes()
    export_tables(folder, [cassettes], jobs=1)
    line = (folder / MANIFEST).read_bytes()[len(whole) :]
    (folder / MANIFEST).write_bytes(whole + (b"" if moment[0] == "b" else line[:-9]))

    export_tables(folder, [cassettes], jobs=1)

    export_tables(tmp_path / "anew", [cassettes], jobs=1)
    for table in TABLES:
        assert content(folder, table) == content(tmp_path / "anew", table)


def test_tables_of_another_version_and_other_folders_are_refused(tmp_path: Path) -> None:
    for data, words in ((b'{"tables_version": 99}\n', "version 99"), (b"[1]\n", "not list tables")):
        (tmp_path / MANIFEST).write_bytes(data)
        with pytest.raises(UsageError, match=words):
            export_tables(tmp_path, [Path("all-cached")], jobs=1)


def test_two_exports_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with (
        connected(str(tmp_path), threads=1) as duck,
        opened_store(tmp_path / "t", duck),
        pytest.raises(UsageError, match="another export writes into it"),
    ):
        export_tables(tmp_path / "t", [Path("all-cached")], jobs=1)


def test_a_folder_of_another_writer_is_a_store_too(tmp_path: Path) -> None:
    assert not is_store(tmp_path)
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "a.parquet").touch()
    assert is_store(tmp_path)
