"""Files that take the place of others: all at once, private, and where a link leads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfyrec.cassette.files.replace import replacing, write_file
from comfyrec.errors import CassetteInUse, Unavailable
from tests.support.cassette_files import add, create


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_is_private_to_its_owner(tmp_path: Path) -> None:
    write_file(tmp_path / "a.har", b"{}", overwrite=False)

    assert mode(tmp_path / "a.har") == 0o600


@pytest.mark.parametrize("old", [0o600, 0o640, 0o644])
def test_a_file_keeps_the_mode_of_the_one_that_it_replaces(tmp_path: Path, old: int) -> None:
    path = tmp_path / "a.har"
    path.write_bytes(b"old")
    path.chmod(old)

    write_file(path, b"new", overwrite=True)

    assert (path.read_bytes(), mode(path)) == (b"new", old)


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    there, link = tmp_path / "there.har", tmp_path / "link.har"
    there.write_bytes(b"old")
    link.symlink_to(there)

    write_file(link, b"new", overwrite=True)

    assert link.is_symlink()
    assert there.read_bytes() == b"new"


def test_what_stands_beside_under_another_name_is_not_touched(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s")
    (tmp_path / "a.har.part").symlink_to(secret)

    write_file(tmp_path / "a.har", b"new", overwrite=False)

    assert secret.read_bytes() == b"s"


def test_nothing_stays_behind_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_bytes(b"old")

    with pytest.raises(ZeroDivisionError), replacing(str(path)):
        raise ZeroDivisionError

    assert [found.name for found in tmp_path.iterdir()] == ["a.har"]
    assert path.read_bytes() == b"old"


def test_a_file_that_is_being_recorded_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.crec"
    writer = create(path)

    with pytest.raises(CassetteInUse):
        write_file(path, b"x", overwrite=True)
    add(writer, 2)
    writer.close()

    assert path.stat().st_size > 100


def test_a_pipe_is_refused_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(Unavailable, match="not a regular file"):
        write_file(tmp_path / "pipe", b"x", overwrite=True)
    with pytest.raises(Unavailable, match="not a regular file"):
        create(tmp_path / "pipe")
