from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from comfyrec.cassette.files import find_cassette
from comfyrec.cli._tables import export_tables
from comfyrec.errors import ComfyrecError
from comfyrec.tables.ask import Answer, ask
from comfyrec.tables.questions import QUESTIONS
from tests.support.paths import ROOT

duckdb = pytest.importorskip("duckdb")

ALL = sorted((ROOT / "cassettes").glob("*.[cj]*"))


def asked(*names: object, questions: tuple[str, ...] = tuple(QUESTIONS)) -> list[Answer]:
    return ask([str(name) for name in names], questions, jobs=1, told=lambda one: None)


@pytest.mark.slow
def test_tables_and_cassettes_give_the_same_answers(tmp_path: Path) -> None:
    export_tables(tmp_path, [ROOT / "cassettes"], jobs=1)

    assert asked(tmp_path) == asked(*ALL)


@pytest.mark.slow
def test_a_copy_counts_once(tmp_path: Path) -> None:
    path = Path(find_cassette("all-cached"))
    shutil.copy(path, tmp_path / "copy.jsonl")

    assert asked(path, tmp_path) == asked(path)


def test_cassettes_and_tables_are_not_mixed(tmp_path: Path) -> None:
    export_tables(tmp_path, [Path("all-cached")], jobs=1)

    with pytest.raises(ComfyrecError, match="ask them apart"):
        asked(tmp_path, "all-cached")


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    duckdb.sql("select 7 as tables_version").write_parquet(f"{tmp_path}/sessions/a.parquet")
    (tmp_path / "prompts").mkdir()
    duckdb.sql("select 'a' as prompt_id").write_parquet(f"{tmp_path}/prompts/a.parquet")

    with pytest.raises(ComfyrecError, match="version 7"):
        asked(tmp_path, questions=("queue-wait",))


def test_a_table_without_rows_needs_no_file(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    duckdb.sql("select 1 as tables_version").write_parquet(f"{tmp_path}/sessions/a.parquet")

    (answer,) = asked(tmp_path, questions=("queue-wait",))

    assert answer.rows == []


def test_a_file_that_is_not_parquet_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "a.parquet").write_bytes(b"nonsense" * 9)

    with pytest.raises(ComfyrecError, match=r"a\.parquet") as told:
        asked(tmp_path, questions=("queue-wait",))

    assert "\n" not in str(told.value)
