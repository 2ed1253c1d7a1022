"""Every question gives the same answer in DuckDB and in Polars, and the right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfyrec.tables.ask import ask
from comfyrec.tables.questions import QUESTIONS, sql_of
from comfyrec.tables.rows import rows_of
from comfyrec.tables.schema import TABLES

pytest.importorskip("duckdb")
from tests.support.paths import ROOT

ALL = sorted((ROOT / "cassettes").glob("*.[cj]*"))


def asked(question: str, folder: Path) -> list[tuple[Any, ...]]:
    (answer,) = ask([str(folder)], [question], jobs=1, told=lambda one: None)
    return answer.rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from comfyrec.cli._tables import export_tables

    folder = tmp_path_factory.mktemp("tables")
    assert export_tables(folder, [ROOT / "cassettes"], jobs=1) in (0, 3)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
def test_polars_gives_the_answers_of_duckdb(question: str, exported: Path) -> None:
    polars = pytest.importorskip("polars")
    frames = {
        table: polars.scan_parquet(exported / table / "**" / "*.parquet", hive_partitioning=False)
        for table in TABLES
    }

    found = polars.SQLContext(frames=frames, eager=True).execute(sql_of(question)).rows()

    assert [tuple(row) for row in found] == asked(question, exported)
    assert found


@pytest.mark.slow
def test_percentiles_are_values_that_occurred(exported: Path) -> None:
    runs: dict[tuple[str, str, str], list[int]] = {}
    for path in ALL:
        for row in rows_of(path.read_bytes(), tables=("node_runs",)).tables["node_runs"]:
            if row["run_us"] is not None:
                key = (row["version"], row["server"], row["class_type"])
                runs.setdefault(key, []).append(row["run_us"])

    for version, server, kind, count, p50, p95, most, total in asked("node-run-times", exported):
        times = sorted(runs.pop((version, server, kind)))
        assert (count, most, total) == (len(times), times[-1], sum(times))
        for share, value in ((0.5, p50), (0.95, p95)):
            exact = next(t for i, t in enumerate(times, 1) if i >= share * len(times))
            assert value in times
            assert exact <= value <= exact * 1.012 + 1
    assert runs == {}


def test_every_question_is_a_file_and_says_what_it_asks() -> None:
    from importlib.resources import files

    folder = files("comfyrec.tables.questions")
    names = {f.name for f in folder.iterdir() if f.name.endswith(".sql")}

    assert names == {f"{question.replace('-', '_')}.sql" for question in QUESTIONS}
    assert all(sql_of(question).startswith("-- ") for question in QUESTIONS)
    with pytest.raises(KeyError):
        sql_of("no-such")
