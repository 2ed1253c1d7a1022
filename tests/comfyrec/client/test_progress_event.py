"""An event, as callbacks read it."""

from __future__ import annotations

import pytest

from comfyrec.client import session as s
from comfyrec.client.progress_event import ProgressEvent
from tests.support.scripted_comfyui import OUTPUTS, entry
from tests.support.tracker_sim import PROMPT, Sim


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


def test_an_event_reads_like_a_mapping():
    told = RUN[0]

    assert dict(told)["type"] == told["type"] == told.type == "submitted"
    assert len(told) == len(list(told)) == len(dict(told))
    assert "detected_by" not in told
    with pytest.raises(KeyError):
        told["nope"]
