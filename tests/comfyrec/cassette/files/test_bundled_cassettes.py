"""Cassettes that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.files import (
    bundled,
    find_cassette,
    write_cassette,
)
from comfyrec.cassette.files import bundled_cassettes as shelf_module
from comfyrec.errors import (
    Unavailable,
)
from tests.support.cassette_samples import ONE_OF_EACH


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shelf = tmp_path / "cassettes"
    shelf.mkdir()
    monkeypatch.setattr(shelf_module, "_shelves", lambda: [shelf])
    write_cassette(shelf / "fresh-run.crec", ONE_OF_EACH)
    write_cassette(shelf / "two-clients.jsonl", ONE_OF_EACH)
    (shelf / "README.md").touch()
    return shelf


def test_bundled_cassettes_are_named_without_path_and_suffix(shelf: Path) -> None:
    assert bundled() == ["fresh-run", "two-clients"]
    assert find_cassette("fresh-run") == str(shelf / "fresh-run.crec")
    assert find_cassette("two-clients.jsonl") == str(shelf / "two-clients.jsonl")


def test_a_file_that_is_there_wins_over_a_bundled_one(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fresh-run").touch()

    assert find_cassette("fresh-run") == "fresh-run"


def test_an_unknown_name_is_refused_with_the_nearest(shelf: Path) -> None:
    with pytest.raises(Unavailable, match="did you mean the bundled 'fresh-run'"):
        find_cassette("fresh_run")
    with pytest.raises(Unavailable, match="check the name"):
        find_cassette("zzz.crec")


def test_a_file_beside_it_is_meant_rather_than_a_bundled_one(tmp_path: Path) -> None:
    (tmp_path / "all-cachedd.crec").touch()

    with pytest.raises(Unavailable, match=r"did you mean '.*all-cachedd\.crec'\?"):
        find_cassette(tmp_path / "all-cacheddd.crec")


def test_a_suffix_in_common_does_not_make_names_alike(tmp_path: Path) -> None:
    (tmp_path / "page.crec").touch()

    with pytest.raises(Unavailable, match="check the name"):
        find_cassette(tmp_path / "nofile.crec")
