"""The gate: a source stops at a frame and goes on when told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from comfyrec.errors import UsageError
from fake_server.server.hold import Gate, check_hold, matches
from fake_server.source import (
    Action,
    Happened,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    Source,
    Wake,
    Woke,
)
from tests.support.v2_client import V2Client, v2_source

EXECUTING = '{"type": "executing", "data": {"node": "3", "prompt_id": "p"}}'
PREVIEW = b"\0\0\0\1\0\0\0\1" + b"jpeg"
ASKED = RequestReceived(7, Request("GET", "/queue"))


def frame(type_: str) -> str:
    return f'{{"type": "{type_}", "data": {{"prompt_id": "p", "timestamp": 1}}}}'


class Toy(Source):
    """Sends the given frames, one for each time it is woken; answers what it is asked."""

    def __init__(self, *frames: str) -> None:
        self.frames = list(frames)

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        if isinstance(happened, RequestReceived):
            yield Respond(happened.exchange, Response())
        elif self.frames:
            yield Send((1,), self.frames.pop(0))
            yield Wake(now)


def sent(actions: Iterable[Action]) -> list[str | bytes]:
    return [action.message for action in actions if isinstance(action, Send)]


@pytest.mark.parametrize(
    ("message", "event", "where", "fits"),
    [
        (EXECUTING, "executing", {}, True),
        (EXECUTING, "executing", {"node": "3"}, True),
        (EXECUTING, "executing", {"node": "4"}, False),
        (EXECUTING, "executing", {"nod": "3"}, False),
        (EXECUTING, "executed", {}, False),
        (PREVIEW, "preview", {}, True),
        (PREVIEW, "text", {}, False),
        ('{"type": "crystools.monitor", "data": {"cpu": 3}}', "crystools.monitor", {}, True),
        ("no json", "executing", {}, False),
    ],
)
def test_a_frame_fits_a_hold(
    message: str | bytes, event: str, where: dict[str, Any], fits: bool
) -> None:
    assert matches(message, event, where) is fits


def test_the_frame_is_sent_and_nothing_behind_it() -> None:
    gate = Gate(Toy(frame("execution_start"), frame("execution_success")))
    hold = gate.hold_at("execution_start", {})

    first, second = sent(gate.handle(Woke(), 0)), sent(gate.handle(Woke(), 0))

    assert (first, second) == ([frame("execution_start")], [])
    assert hold.reached
    assert gate.facts()["held_at"] == "execution_start"


def test_what_is_asked_meanwhile_is_answered() -> None:
    gate = Gate(Toy(frame("execution_start")))
    gate.hold_at("execution_start", {})
    list(gate.handle(Woke(), 0))

    assert list(gate.handle(ASKED, 0)) == [Respond(7, Response())]


def test_release_wakes_a_source_that_was_not_woken_while_held() -> None:
    gate = Gate(Toy(frame("execution_start"), frame("execution_success")))
    gate.hold_at("execution_start", {})
    list(gate.handle(Woke(), 0))
    list(gate.handle(Woke(), 5))

    assert list(gate.release(6)) == [Wake(6)]
    assert sent(gate.handle(Woke(), 6)) == [frame("execution_success")]


def test_a_step_lets_one_frame_out() -> None:
    names = ("execution_start", "execution_cached", "execution_success")
    gate = Gate(Toy(*map(frame, names)))
    gate.hold_at("execution_start", {})
    list(gate.handle(Woke(), 0))
    list(gate.handle(Woke(), 0))

    list(gate.step(1))
    stepped = sent(gate.handle(Woke(), 1)), sent(gate.handle(Woke(), 1))

    assert stepped == ([frame("execution_cached")], [])
    assert gate.held is not None


def test_frames_that_were_ready_behind_the_hold_come_first() -> None:
    class Burst(Toy):
        def handle(self, happened: Happened, now: int) -> Iterator[Action]:
            yield from (Send((1,), message) for message in self.frames)

    gate = Gate(Burst(frame("execution_start"), frame("execution_success")))
    gate.hold_at("execution_start", {})

    held = sent(gate.handle(Woke(), 0))

    assert held == [frame("execution_start")]
    assert sent(gate.release(0)) == [frame("execution_success")]


def test_an_event_of_a_stream_can_be_held_at_and_what_comes_after_it_waits() -> None:
    source = v2_source(native=False)
    gate = Gate(source)
    client = V2Client(gate)
    id = client.submit()
    hold = gate.hold_at("status", {"status": "succeeded"})
    stream = client.listen(id)

    assert hold.reached
    assert gate.held is hold
    assert isinstance(hold.message, str)
    assert '"succeeded"' in hold.message
    assert not stream.over
    for action in gate.release(client.now):
        client.take(action)
    assert stream.over


def test_fields_of_either_kind_of_event_may_be_named() -> None:
    check_hold("progress", {"nodes_done": 1})
    check_hold("progress", {"max": 1})
    check_hold("output", {"node_id": "9"})
    with pytest.raises(UsageError, match="has no field 'nodes_dun'"):
        check_hold("progress", {"nodes_dun": 1})
