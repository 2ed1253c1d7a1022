"""Bundled recordings, redacted in every combination of classes, replay themselves; and the client
that has the real prompts, names and ids gets from them what it got from the real ones."""

from __future__ import annotations

from functools import cache
from itertools import chain, combinations

import pytest

from comfyrec.cassette.files import bundled
from comfyrec.cassette.records import AnyRecord
from comfyrec.cassette.redact.redactor import CLASSES, Redactor
from comfyrec.cassette.redact.whole_cassette import redacted_recording
from comfyrec.timeline import Timeline
from fake_server.replay import Player, replay_differences
from fake_server.replay.self_check import replay_to_clients_of
from tests.support.replay_rig import records_of, timeline_of

pytestmark = pytest.mark.long

OTHERS = [name for name in CLASSES if name != "secret"]
COMBINATIONS = [*chain.from_iterable(combinations(OTHERS, size) for size in (1, 2))]
NAMES = list(bundled())


@cache
def redacted(name: str, classes: tuple[str, ...]) -> Timeline:
    records: tuple[AnyRecord, ...] = records_of(name)
    return Timeline.build(redacted_recording(lambda: iter(records), Redactor(classes=classes)))


@pytest.mark.parametrize("classes", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("name", NAMES)
def test_a_redacted_recording_replays_itself(name: str, classes: tuple[str, ...]) -> None:
    assert replay_differences(redacted(name, classes)) == []


@pytest.mark.parametrize("classes", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("name", NAMES)
def test_the_client_that_was_recorded_gets_the_same_outcome(
    name: str, classes: tuple[str, ...]
) -> None:
    recording = timeline_of(name)
    player = Player(redacted(name, classes), strict=True, seed=1)

    played = replay_to_clients_of(recording, player)

    assert player.complaints == []
    assert played.statuses == {
        exchange.number: exchange.status
        for exchange in recording.exchanges
        if exchange.number in played.statuses and exchange.response is not None
    }
    assert played.messages == {s.number: len(played.receivable(s)) for s in recording.sockets}
