"""A line of JSON, and callbacks in a chain."""

from __future__ import annotations

import math
from typing import Any

import pytest

from comfyrec.client import chain_callbacks
from comfyrec.client import session as s
from comfyrec.client.formatting import json_line
from comfyrec.client.progress_event import ProgressEvent
from tests.support.scripted_comfyui import OUTPUTS, entry
from tests.support.tracker_sim import PROMPT, Sim


@pytest.mark.parametrize("depth, kept", [(90, 90), (150, 99), (5_000, 99)])
def test_a_line_of_json_is_strict_and_no_deeper_than_can_be_read(depth: int, kept: int) -> None:
    value: Any = math.nan
    for _ in range(depth):
        value = [value]

    line = json_line({"outputs": value})

    assert line == '{"outputs":' + "[" * kept + "null" + "]" * kept + "}"


def a_run() -> list[ProgressEvent]:
    sim = Sim()
    sim.accept()
    sim.runs()
    sim.wait(5.1)
    sim.ours("execution_start", timestamp=1)
    sim.ours("execution_cached", nodes=["1"], timestamp=1)
    sim.ours("executing", node="2", display_node="2")
    sim.hear("status", status={"exec_info": {"queue_remaining": 1}})
    sim.hear("status", status={"exec_info": {"queue_remaining": 1}})
    sim.feed(
        s.MessageReceived(
            f'{{"type": "progress", "data": {{"value": NaN, "max": 20, '
            f'"prompt_id": "{PROMPT}", "node": "2"}}}}'
        )
    )
    sim.feed(s.MessageReceived(b"\x00\x00\x00\x01\x00\x00\x00\x01\xff\xd8\xff"))
    sim.ours("executed", node="2", display_node="2", output=OUTPUTS["2"])
    sim.ours("execution_success", timestamp=2)
    sim.ends(entry(PROMPT))
    sim.ours("executing", node=None)
    return sim.events


RUN = a_run()


def test_callbacks_that_raise_are_all_called_and_all_reported():
    def fail(told: ProgressEvent) -> None:
        raise LookupError("no")

    seen: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        chain_callbacks(fail, fail, lambda told: seen.append(told.type))(RUN[0])

    assert len(caught.value.exceptions) == 2
    assert seen == ["submitted"]
