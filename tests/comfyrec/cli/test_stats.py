from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyrec.cli import main
from comfyrec.tables.questions import QUESTIONS, sql_of

pytest.importorskip("duckdb")


def test_every_question_is_answered_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "all-cached", "execution-error", "two-clients"]) == 0

    shown = capsys.readouterr().out.splitlines()
    titles = [line.partition(":")[0] for line in shown if line and line[0] != " "]
    assert titles == list(QUESTIONS)
    assert max(map(len, shown)) <= 80


def test_json_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--json", "--question", "error-rate", "execution-error"]) == 0

    said = json.loads(capsys.readouterr().out)
    assert said["question"] == "error-rate"
    assert said["rows"][0]["failed"] > 0


def test_the_sql_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--sql", "--question", "cache-rate"]) == 0

    assert capsys.readouterr().out == sql_of("cache-rate")


def test_damaged_files_are_named_and_the_rest_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.crec").write_bytes(b"nonsense")

    status = main(["stats", "--question", "error-rate", str(tmp_path), "all-cached"])

    out, err = capsys.readouterr()
    assert status == 3
    assert "0.27.0" in out
    assert "00.crec: is not a cassette" in err
    assert "10 more files" in err
    assert "of 31 files, 30 skipped" in err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--question", "eror-rate", "all-cached"], "choose of"),
        ([], "name cassettes"),
        (["nosuch.crec"], "nosuch.crec"),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", *arguments]) == 2

    assert words in capsys.readouterr().err


def test_export_to_parquet_takes_a_folder_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "t")

    assert main(["export", "--to", "parquet", folder, "all-cached"]) == 0
    assert "1 recording with" in capsys.readouterr().out
    assert main(["stats", "--question", "queue-wait", folder]) == 0
    assert main(["export", "--to", "parquet", folder]) == 2
    assert main(["export", "--to", "parquet", folder, "all-cached", "-o", "x"]) == 2
    assert main(["export", "--to", "csv", "all-cached", "two-clients"]) == 2
    assert "one recording" in capsys.readouterr().err
