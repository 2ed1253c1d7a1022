"""Scenarios by name as one source: several at once, and over a recording."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.cassette.capture import records_of_capture
from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.scenario_source import over, scenario_source
from fake_server.scenarios import (
    Stage,
    choose,
)
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.dry_run import dry_run
from tests.support.paths import SHARED

RECORDING = SHARED / "recordings" / "v0.27.0" / "image_only.jsonl"
ON_A_RECORDING = [
    "ws-silent", "reconnect-mid-run", "big-frame", "duplicate-status", "success-before-history",
    "server-restart", "stale-burst", "pending-deleted", "view-404", "reject-400", "output-kinds",
]  # fmt: skip


@pytest.mark.skipif(not RECORDING.is_file(), reason="the recordings are not here")
@pytest.mark.parametrize("name", ON_A_RECORDING)
def test_operators_work_alike_on_a_recording(name: str) -> None:
    with RECORDING.open("rb") as file:
        timeline = Timeline.build(records_of_capture(file))
    post = next(one for one in timeline.exchanges if one.method == "POST")
    graph: dict[str, Any] = json.loads(post.request.body)["prompt"]
    stage = over([choose(name)], lambda: Player(timeline))
    assert isinstance(stage, Stage)

    lines = list(dry_run(stage, graph))

    assert lines
    assert not [str(one) for one in stage.finish() if one.needed]


def test_scenarios_add_up() -> None:
    both = [choose("duplicate-status"), choose("ws-silent:after=start")]
    source = scenario_source(both)

    texts = [line.text for line in dry_run(source, PLAIN)]

    assert texts.count("status queue_remaining=1") == 6
    assert "executing node=null" not in texts
