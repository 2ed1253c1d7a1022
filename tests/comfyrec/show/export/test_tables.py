"""Rows of moments as CSV, and what the command writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.cli import main
from comfyrec.show.export.tables import COLUMNS, csv_lines, moment_rows
from comfyrec.timeline import Timeline
from tests.support.timeline_samples import CLIENT, Recording


def test_csv_holds_the_same_rows() -> None:
    with open_cassette(find_cassette("two-clients")) as reader:
        timeline = Timeline.build(reader)

    read_back = list(csv.DictReader(csv_lines(timeline)))

    rows = list(moment_rows(timeline))
    assert len(read_back) == len(rows)
    assert [row["type"] for row in read_back] == [row["type"] for row in rows]
    assert tuple(read_back[0]) == COLUMNS


def test_text_that_a_spreadsheet_would_run_gets_a_quote() -> None:
    recording = Recording()
    recording.upgrade(1)
    recording.frame(1, b"=cmd()", side=CLIENT)

    (_, _, row) = csv_lines(Timeline.build(recording.end()))

    assert row.rstrip().endswith("'=cmd()")


def test_control_characters_of_a_cell_are_written_as_in_json() -> None:
    recording = Recording()
    recording.upgrade(1)
    recording.frame(1, b"\x1b[2Jred\x07 \xc2\x9b31m", side=CLIENT)

    text = "".join(csv_lines(Timeline.build(recording.end())))

    assert "\\u001b[2Jred\\u0007 \\u009b31m" in text
    assert not {"\x1b", "\x07", "\x9b"} & set(text)


@pytest.mark.parametrize("to", ["perfetto", "otlp", "har", "jsonl", "csv"])
def test_each_format_is_written(
    to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out"

    assert main(["export", "two-clients", "--to", to, "-o", str(file)]) == 0

    assert file.stat().st_size > 1000
    assert capsys.readouterr().out.startswith(f"wrote {file} (")


def test_without_a_file_it_goes_to_standard_output(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert main(["export", "execution-error", "--to", "jsonl"]) == 0

    first = json.loads(capfdbinary.readouterr().out.splitlines()[0])
    assert (first["kind"], first["client"]) == ("opened", "client-a")
