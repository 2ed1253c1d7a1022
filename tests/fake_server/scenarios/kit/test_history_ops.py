"""Operators on history, queue and outputs."""

from __future__ import annotations

import json

from fake_server.scenarios.kit import delay_history, patch_outputs
from tests.support.operator_rig import ASK, ENTRY, played


def test_a_delayed_entry_shows_up_after_the_lag_and_the_reads() -> None:
    rig = played(*delay_history("it", lag_ms=100, reads=1))

    first, second = rig.feed(ASK), rig.run().feed(ASK)

    assert first[0].answer.body == b"{}"
    assert json.loads(second[0].answer.body) == {"p": ENTRY}


def test_patched_outputs_are_the_same_in_frames_and_history() -> None:
    more = {"text": ["a"]}
    rig = played(*patch_outputs("it", lambda node, output: {**output, **more}))

    frame = next(json.loads(m) for m in rig.sent if b"executed" in str(m).encode())
    (reply,) = rig.feed(ASK)

    assert json.loads(reply.answer.body)["p"]["outputs"]["9"] == frame["data"]["output"]
    assert frame["data"]["output"]["text"] == ["a"]
