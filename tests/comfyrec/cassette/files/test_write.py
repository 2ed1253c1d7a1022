"""Whole cassettes: all of one, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from comfyrec.cassette.files import (
    write_cassette,
)
from comfyrec.errors import (
    Unavailable,
)
from tests.support.cassette_files import create
from tests.support.cassette_samples import ONE_OF_EACH


@pytest.mark.parametrize("make", [create, lambda p: write_cassette(p, ONE_OF_EACH)])
def test_a_folder_that_is_not_there_is_said(tmp_path: Path, make: Callable[[Path], object]) -> None:
    with pytest.raises(Unavailable, match="there is no folder"):
        make(tmp_path / "none" / "a.crec")


def test_a_conversion_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> object:
        yield ONE_OF_EACH[0]
        raise Unavailable("x", "is broken", "mend it")

    with pytest.raises(Unavailable):
        write_cassette(tmp_path / "a.crec", broken())  # type: ignore[arg-type]  # a generator

    assert list(tmp_path.iterdir()) == []
