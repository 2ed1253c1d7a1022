from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from comfyrec.cassette.files import find_cassette
from comfyrec.errors import CassetteError, UsageError
from comfyrec.tables.convert import cassettes_in, convert, convert_all
from tests.support.paths import ROOT

ALL = sorted((ROOT / "cassettes").glob("*.[cj]*"))


def damaged(path: Path) -> Path:
    data = bytearray(Path(find_cassette("fresh-run-previews")).read_bytes())
    data[5000:5100] = bytes(range(100))
    path.write_bytes(data)
    return path


def test_folders_are_looked_through_and_names_are_known(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.crec", "deep/a.jsonl", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")

    found = cassettes_in([tmp_path, tmp_path / "b.crec", Path("all-cached")])

    assert found == [
        tmp_path / "b.crec",
        tmp_path / "deep" / "a.jsonl",
        Path(find_cassette("all-cached")),
    ]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="nosuch"):
        cassettes_in([Path("nosuch")])
    with pytest.raises(UsageError, match="holds no cassettes"):
        cassettes_in([tmp_path])


def test_a_folder_that_cannot_be_looked_into_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", refused)

    with pytest.raises(UsageError, match="Permission denied; make it readable"):
        cassettes_in([tmp_path])


def test_rows_are_lines_of_json() -> None:
    one = convert(str(Path(find_cassette("all-cached"))), ("prompts",))

    lines = one.lines["prompts"].splitlines()
    assert not one.skipped
    assert [json.loads(line)["prompt"] for line in lines] == list(range(one.counts["prompts"]))


def test_a_damaged_file_is_named_and_skipped(tmp_path: Path) -> None:
    one = convert(str(damaged(tmp_path / "d.crec")), ("prompts",))

    assert one.skipped
    assert "d.crec" in one.problems[0]
    assert "comfyrec recover" in one.problems[-1]
    assert one.lines == {}


def test_a_file_without_an_end_is_named_and_taken(tmp_path: Path) -> None:
    lines = Path(find_cassette("all-cached")).read_bytes().splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(lines[:-3]))

    one = convert(str(path), ("sessions",))

    assert not one.skipped
    assert json.loads(one.lines["sessions"])["whole"] is False
    assert "cut.jsonl" in one.problems[0]


@pytest.mark.long
def test_processes_give_what_one_process_gives(tmp_path: Path) -> None:
    paths = [damaged(tmp_path / "d.crec"), *ALL * 2]

    alone = list(convert_all(paths, ("prompts",), jobs=1))
    together = list(convert_all(paths, ("prompts",), jobs=2))

    assert together == alone
