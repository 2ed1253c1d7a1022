"""info reads a large cassette once: what it found is kept for as long as the file is the same."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from comfyrec.cassette.files import write_cassette
from comfyrec.cli import _summary_cache, info, main
from comfyrec.cli._summary_cache import FILES_MAX, keep, kept
from tests.support.timeline_samples import run, session


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_summary_cache, "SIZE_BYTES_MIN", 0)
    return tmp_path / "cache" / "comfyrec" / "info"


def test_a_file_is_read_once(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "x.crec"
    write_cassette(path, run(session()).end())
    assert main(["info", str(path)]) == main(["info", str(path), "--json"]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(info, "_read", None)

    assert main(["info", str(path)]) == main(["info", str(path), "--json"]) == 0

    assert capsys.readouterr().out == first
    (one,) = cache.iterdir()
    assert stat.S_IMODE(one.stat().st_mode) == 0o600


def test_a_file_that_changed_is_read_again(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.crec"
    write_cassette(path, session().end())
    main(["info", str(path)])
    assert capsys.readouterr().out.startswith("outcome   0 prompts")

    write_cassette(path, run(session()).end(), overwrite=True)

    main(["info", str(path)])
    assert capsys.readouterr().out.startswith("outcome   1 prompt: 1 succeeded")


def test_a_damaged_file_is_read_each_time(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_cassette(path, run(session()).end())
    path.write_bytes(path.read_bytes()[:-40])

    assert main(["info", str(path)]) == main(["info", str(path)]) == 3
    assert not cache.exists()


def test_a_cache_that_cannot_be_used_costs_nothing(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.crec"
    write_cassette(path, run(session()).end())
    cache.parent.mkdir(parents=True)
    cache.write_text("not a folder")

    assert main(["info", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_only_the_latest_are_kept(tmp_path: Path, cache: Path) -> None:
    for number in range(FILES_MAX + 3):
        path = tmp_path / f"{number}"
        path.write_text("x")
        keep(path, {"number": number})

    assert len(list(cache.iterdir())) == FILES_MAX
    assert kept(tmp_path / f"{FILES_MAX + 2}") == {"number": FILES_MAX + 2}


def test_a_small_file_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "x"
    path.write_text("x")

    keep(path, {"a": 1})

    assert kept(path) is None
    assert not (tmp_path / "cache").exists()
