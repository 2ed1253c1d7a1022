"""Folders: what is written, listed, moved and forgotten, in memory as on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.storage.disk import RealFolders
from fake_server.storage.memory import Folders, StoredFile, inside

EPOCH_US = 1_700_000_000_000_000


@pytest.fixture(params=["in memory", "on a disk"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Folders:
    return Folders() if request.param == "in memory" else RealFolders(tmp_path, EPOCH_US)


def test_a_file_is_read_as_it_was_written(folders: Folders) -> None:
    folders.write("output", "a/b", "c.png", b"one", 5)
    folders.write("output", "a/b", "c.png", b"two", 9)

    found = folders.read("output", "a", "b/c.png")

    assert found is not None
    assert (found.data, found.modified_us) == (b"two", 9)
    assert folders.has("output", "", "a/b/c.png")
    assert folders.modified_us("output", "a/b", "c.png") == 9
    assert not folders.has("input", "a/b", "c.png")
    assert folders.read("output", "a/b", "none") is None
    assert folders.modified_us("output", "a/b", "none") is None


def test_folders_are_listed_and_walked_and_stay_when_they_are_empty(folders: Folders) -> None:
    folders.write("user", "default/x", "b", b"", 0)
    folders.write("user", "default/x", "a", b"", 0)
    folders.write("user", "default/x/y", "c", b"", 0)
    folders.make_folder("user", "default/z")

    assert folders.names("user", "default/x") == ["a", "b"]
    assert folders.folders("user", "default") == ["x", "z"]
    assert list(folders.walk("user", "default")) == [
        ("default", ["x", "z"], []),
        ("default/x", ["y"], ["a", "b"]),
        ("default/x/y", [], ["c"]),
        ("default/z", [], []),
    ]
    assert folders.remove("user", "default/x", "a")
    assert not folders.remove("user", "default/x", "a")
    assert folders.has_folder("user", "default/x")
    assert not folders.has_folder("user", "other")
    assert list(folders.walk("user", "other")) == []
    assert folders.names("user", "other") == []


def test_a_moved_file_keeps_its_time_and_takes_the_place_of_another(folders: Folders) -> None:
    folders.write("user", "", "a", b"a", 5)
    folders.write("user", "d", "b", b"b", 6)

    folders.move("user", "a", "d/b", 9)

    moved = folders.read("user", "d", "b")
    assert moved is not None
    assert (moved.data, moved.modified_us) == (b"a", 5)
    assert not folders.has("user", "", "a")


def test_a_file_that_nobody_reads_is_never_made() -> None:
    def drawn() -> bytes:
        calls.append(1)
        return b"picture"

    calls: list[int] = []
    folders = Folders()
    folders.write("output", "", "a", drawn, 0)
    before = list(calls)
    twice = [folders.read("output", "", "a"), folders.read("output", "", "a")]

    assert before == []
    assert twice == [StoredFile(b"picture", 0, 0)] * 2
    assert calls == [1]


def test_the_oldest_outputs_are_forgotten_and_inputs_never() -> None:
    folders = Folders(bytes_max=100)
    folders.write("input", "", "kept", b"x" * 60, 0)
    for number in range(5):
        folders.write("output", "", f"{number}", b"x" * 20, number)

    assert folders.names("output") == ["3", "4"]
    assert folders.names("input") == ["kept"]


def test_clearing_a_kind_leaves_the_others() -> None:
    folders = Folders()
    folders.write("output", "", "a", b"", 0)
    folders.write("temp", "", "b", b"", 0)

    folders.clear("output")
    left = folders.names("temp")
    folders.clear()

    assert (folders.names("output"), left, folders.names("temp")) == ([], ["b"], [])


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("a", "b.png"), "a/b.png"), (("",), ""), (("a/../b",), "b"), (("..",), None),
        (("../x",), None), (("/etc/passwd",), None), (("a", "/b"), None), (("a/..", ".."), None),
        (("./a//b/",), "a/b"),
    ],
)  # fmt: skip
def test_a_path_stays_inside_or_is_none(parts: tuple[str, ...], path: str | None) -> None:
    assert inside(*parts) == path


@given(st.lists(st.text(alphabet="a./\\\0", max_size=8), max_size=4))
def test_no_path_leads_out(parts: list[str]) -> None:
    path = inside(*parts)

    assert path is None or (not path.startswith("/") and ".." not in path.split("/"))
