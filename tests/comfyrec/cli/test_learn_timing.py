from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyrec.cli import main
from comfyrec.timing import Timing
from tests.support.paths import ROOT


def test_it_writes_what_was_learned_and_says_how_well_it_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "timing.json"

    assert main(["learn-timing", str(ROOT / "cassettes"), "-o", str(file), "--jobs", "1"]) == 0

    shown = capsys.readouterr().out
    timing = Timing.read(file.read_bytes(), "x")
    assert timing.classes["KSampler"].median_us > 1_000_000
    assert "6 recordings held out" in shown
    assert "queue wait" in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_a_file_is_not_overwritten_and_nothing_to_learn_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("x")

    assert main(["learn-timing", "all-cached", "-o", str(tmp_path / "there")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["learn-timing", "pending-deleted", "-o", str(tmp_path / "t")]) in (0, 2)


def test_damaged_files_are_named_and_the_rest_is_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.crec").write_bytes(b"bad")

    status = main(
        ["learn-timing", str(tmp_path / "bad.crec"), "all-cached", "-o", str(tmp_path / "t.json")]
    )

    assert status == 3
    assert "bad.crec" in capsys.readouterr().err
    assert json.loads((tmp_path / "t.json").read_bytes())["recordings"] == 1


def test_recordings_of_a_server_at_full_speed_are_said_to_tell_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learn-timing", "many-quick-prompts", "-o", str(tmp_path / "t.json")]) == 0

    assert "no class takes a millisecond" in capsys.readouterr().out
