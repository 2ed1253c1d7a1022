"""Operators on frames: what they do to the stream of a small source."""

from __future__ import annotations

import pytest

from fake_server.scenarios.kit import (
    any_of,
    anything,
    coalesce,
    delay,
    drop,
    dump,
    duplicate,
    event,
    flood,
    fragment,
    framed,
    inject,
    mutate,
    no_node,
    reorder,
    send_with_handshake,
    some_node,
    throttle,
)
from fake_server.source import Accept, SendRaw
from tests.support.operator_rig import (
    EXECUTED,
    NODE,
    NULL,
    RUN,
    START,
    STATUS,
    SUCCESS,
    UPGRADE,
    OperatorRig,
    played,
)

STREAMS = {
    "drop": (drop(event("executed"), "it"), [STATUS, START, NODE, SUCCESS, STATUS, NULL]),
    "drop after": (drop(anything, "it", after=event("execution_start")), [STATUS, START]),
    "drop twice": (drop(anything, "it", times=2), [NODE, EXECUTED, SUCCESS, STATUS, NULL]),
    "duplicate": (duplicate(event("execution_success"), "it", n=2), [STATUS, *RUN[:3], SUCCESS, *RUN[3:]]),  # noqa: E501
    "reorder": (reorder(event("executed"), event("execution_success"), "it"), [STATUS, START, NODE, SUCCESS, EXECUTED, STATUS, NULL]),  # noqa: E501
    "inject": (inject(["x"], "it", at=some_node), [STATUS, START, NODE, "x", *RUN[2:]]),
    "inject before": (inject(["x"], "it", at=some_node, before=True), [STATUS, START, "x", *RUN[1:]]),  # noqa: E501
    "coalesce": (coalesce(event("execution_start"), "it"), [STATUS, START + NODE, *RUN[2:]]),
    "mutate": (mutate(event("execution_start"), "it", lambda data: None), [STATUS, dump("execution_start", None), *RUN[1:]]),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_an_operator_changes_the_stream(name: str) -> None:
    operator, expected = STREAMS[name]

    rig = played(operator)

    assert rig.sent == expected
    assert rig.stage.finish() == []


def test_delay_sends_later_and_lets_the_rest_pass() -> None:
    rig = played(delay(event("executed"), "it", ms=1_000))

    assert rig.sent[-1] == EXECUTED
    assert rig.times(EXECUTED) == [1_030_000]


def test_fragment_frames_messages_in_parts_that_join_to_the_whole() -> None:
    rig = played(fragment(event("execution_start"), "it", parts=3))

    raw = next(action for _, action in rig.out if isinstance(action, SendRaw))
    assert raw.data == framed(START, parts=3)
    assert raw.data[0] == 0x01
    assert START.encode()[-5:] == raw.data[-5:]


def test_the_first_frames_travel_with_the_accept() -> None:
    rig = OperatorRig(send_with_handshake())

    assert rig.feed(UPGRADE) == [Accept(1, first=framed(STATUS))]


def test_a_flood_goes_on_at_its_rate() -> None:
    rig = played(flood("x", "x", at=event("execution_start"), rate_hz=100, n=5))

    assert rig.times("x") == [20_000, 30_000, 40_000, 50_000, 60_000]


def test_throttling_leaves_out_what_comes_too_soon_but_never_the_last() -> None:
    rig = played(throttle(any_of(event("executing"), event("executed")), "it", least_ms=1_000, last=no_node))  # noqa: E501  # fmt: skip

    assert rig.sent == [STATUS, START, NODE, SUCCESS, STATUS, NULL]
