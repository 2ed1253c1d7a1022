"""One writer at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.errors import (
    CassetteInUse,
)
from tests.support.cassette_files import SUFFIXES, add, create, read


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"a{request.param}"


def test_a_second_writer_is_refused_and_the_first_unharmed(path: Path) -> None:
    writer = create(path)

    with pytest.raises(CassetteInUse, match="another recorder"):
        create(path, append=True)
    with pytest.raises(CassetteInUse):
        create(path, overwrite=True)
    add(writer, 3)
    writer.close()

    assert len(read(path)[0]) == 5
