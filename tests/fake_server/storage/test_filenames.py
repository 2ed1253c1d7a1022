"""Names of saved files: counters, prefixes, words that are filled in."""

from __future__ import annotations

import pytest

from fake_server.storage.filenames import LeavesFolder, fill_in, next_counter, save_path

COUNTERS: dict[str, tuple[list[str], int]] = {
    "none": ([], 1),
    "one": (["a_00001_.png"], 2),
    "a gap": (["a_00001_.png", "a_00007_.png"], 8),
    "other names": (["ab_00009_.png", "a-00009_.png", "b_00009_.png"], 1),
    "another case": (["A_00003_.png"], 4),
    "no number": (["a_.png", "a_x_.png", "a_00002.txt"], 1),
}


@pytest.mark.parametrize("there, number", COUNTERS.values(), ids=COUNTERS)
def test_the_counter_goes_on_behind_the_highest(there: list[str], number: int) -> None:
    assert next_counter("a", 1, there, before_dot=False) == number


def test_a_text_counts_since_names_may_end_with_the_number() -> None:
    assert next_counter("a", 1, ["a_00002.txt", "a_00001_.png"], before_dot=True) == 3


def test_a_prefix_that_ends_in_a_slash_finds_none_of_its_files() -> None:
    found = [save_path(prefix, root="/r", counter=lambda *where: where[2]) for prefix in ("a/", "")]

    assert [(one.name, one.counter) for one in found] == [("a", 0), (".", 0)]
    assert next_counter("a", 0, ["a_00001_.png"], before_dot=True) == 1


PREFIXES: dict[str, tuple[str, str, str]] = {
    "plain": ("shot", "", "shot"),
    "folder": ("day/one/shot", "day/one", "shot"),
    "dots": ("./day/../shot", "", "shot"),
    "empty": ("", "", "."),
}


@pytest.mark.parametrize("prefix, subfolder, name", PREFIXES.values(), ids=PREFIXES)
def test_a_prefix_is_a_folder_and_a_name(prefix: str, subfolder: str, name: str) -> None:
    path = save_path(prefix, root="/r/output", counter=lambda *_: 3)

    assert path.file(1, single=True) == f"{name}_00004_.png"

    assert (path.subfolder, path.name) == (subfolder, name)
    assert path.file(1) == f"{name}_00004_.png"


@pytest.mark.parametrize("prefix", ["../x", "/etc/x", "a/../../x", "../output2/x"])
def test_a_prefix_does_not_leave_the_folder(prefix: str) -> None:
    with pytest.raises(LeavesFolder, match="Saving image outside the output folder"):
        save_path(prefix, root="/r/output", counter=lambda *_: 1)


def test_words_in_a_prefix_are_filled_in() -> None:
    filled = fill_in(
        "%width%x%height%_%year%-%month%-%day%_%hour%%minute%%second%_%other%",
        width=64,
        height=48,
        now_ms=1_767_225_600_000,
    )

    assert filled == "64x48_2026-01-01_000000_%other%"
