"""What each record mode does with a cassette."""

from __future__ import annotations

import pytest

from comfyrec.testing.record_mode import RecordMode, Use, no_such_mode

USES = {
    RecordMode.NONE: (Use.REPLAY, Use.REPLAY),
    RecordMode.ONCE: (Use.REPLAY, Use.RECORD),
    RecordMode.NEW_EPISODES: (Use.EXTEND, Use.RECORD),
    RecordMode.ALL: (Use.APPEND, Use.RECORD),
    RecordMode.REWRITE: (Use.RECORD, Use.RECORD),
}


@pytest.mark.parametrize("mode", RecordMode)
def test_a_mode_says_what_to_do_with_a_cassette_and_without(mode: RecordMode) -> None:
    assert (mode.use(recorded=True), mode.use(recorded=False)) == USES[mode]


def test_only_one_mode_never_needs_the_server_to_record() -> None:
    quiet = [mode for mode in RecordMode if mode.use(recorded=False) is Use.REPLAY]

    assert quiet == [RecordMode.NONE]


def test_an_unknown_mode_is_answered_with_those_that_there_are() -> None:
    assert no_such_mode("al") == (
        "record mode 'al' does not exist; the modes are none, once, new_episodes, all, rewrite"
    )
