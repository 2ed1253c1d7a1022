"""Names of output files for live clients, counted as the server counts."""

from __future__ import annotations

import pytest

from comfyrec.events.outputs import FileEntry
from fake_server.replay.live.output_names import LiveFiles

FIRST, SECOND = FileEntry("tag_00001_.png"), FileEntry("tag_00002_.png")


@pytest.fixture
def files() -> LiveFiles:
    return LiveFiles([FIRST, SECOND])


def test_a_client_with_the_recorded_prefix_gets_the_recorded_names(files: LiveFiles) -> None:
    assert [files.live(one, {}, 0) for one in (FIRST, SECOND)] == [FIRST, SECOND]


def test_a_prefix_of_its_own_is_counted_from_one(files: LiveFiles) -> None:
    names = [files.live(one, {"tag": "mine"}, 0).filename for one in (SECOND, FIRST)]

    assert names == ["mine_00001_.png", "mine_00002_.png"]


def test_what_was_saved_once_keeps_its_name(files: LiveFiles) -> None:
    names = [files.live(FIRST, {"tag": "mine"}, 0).filename for _ in range(2)]

    assert names == ["mine_00001_.png"] * 2


def test_what_is_played_again_with_other_inputs_gets_the_next_numbers(files: LiveFiles) -> None:
    names = [files.live(FIRST, {}, variant).filename for variant in (0, 1, 2)]

    assert names == ["tag_00001_.png", "tag_00003_.png", "tag_00004_.png"]


def test_a_prefix_may_name_a_folder(files: LiveFiles) -> None:
    recorded = FileEntry("name_00001_.png", "folder")

    live = files.live(recorded, {"folder/name": "other/mine"}, 0)

    assert live == FileEntry("mine_00001_.png", "other")


def test_a_live_name_leads_back_to_the_recorded_file(files: LiveFiles) -> None:
    live = files.live(FIRST, {"tag": "mine"}, 0)

    assert (files.recorded(live), files.recorded(SECOND)) == (FIRST, SECOND)


@pytest.mark.parametrize("name", ["plain.png", "short_001_.png", ""])
def test_names_that_no_server_counts_stay(files: LiveFiles, name: str) -> None:
    assert files.live(FileEntry(name), {"tag": "mine"}, 1) == FileEntry(name)
