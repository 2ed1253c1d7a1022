"""What the observer of a stage writes down."""

from __future__ import annotations

from tests.support.operator_rig import played


def test_the_journal_tells_who_did_what() -> None:
    rig = played()

    told = [(note.what, note.detail) for note in rig.stage.observer.journal]

    assert told[0] == ("knocked", "me")
    assert ("asked", "POST /prompt") in told
    assert ("ended", "success p") in told
