"""Who is connected under which id, what newcomers are told, and the flags of clients."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine_bench import Rig, lines, node

MAKE = node("Make", color=1)

SAVE = {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="a")}

SINK = {"1": MAKE, "2": node("Sink", image=["1", 0])}

SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}

AFTER = ["success", "status 0", "end"]


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def test_the_first_frame_is_status_with_the_sid_and_without_id_one_is_minted() -> None:
    rig = Rig()

    named, nameless, empty = rig.connect("A"), rig.connect("B", None), rig.connect("C", None)

    assert named[0]["data"]["sid"] == "A"  # type: ignore[call-overload, index]  # a text frame
    minted = {frames[0]["data"]["sid"] for frames in (nameless, empty)}  # type: ignore[call-overload, index]  # text frames
    assert len(minted) == 2
    assert {len(one) for one in minted} == {32}


def test_a_client_that_comes_back_is_told_the_running_node_only() -> None:
    rig = connected({"2": {"seconds": 2}})
    rig.queue(SLOW)
    rig.leave("A")

    rig.connect("B", "A")

    frames = rig.frames["B"]
    assert frames[1:] == [{"type": "executing", "data": {"node": "2"}}]
    rig.finish()
    assert lines(rig.told("B"))[-3:] == AFTER


def test_a_stranger_is_not_told_the_running_node() -> None:
    rig = connected({"2": {"seconds": 2}})
    rig.queue(SLOW)

    assert len(rig.connect("B")) == 1


def test_the_newest_socket_of_an_id_takes_over_and_the_old_one_leaving_silences_it() -> None:
    rig = connected()
    rig.connect("B", "A")
    rig.told("B")

    rig.queue(SINK)
    first = rig.told("B")
    rig.leave("A")
    rig.queue(SAVE)

    assert rig.told("A") == []
    assert first[-1] == "end"
    assert rig.told("B") == []


FIRST_MESSAGES = {
    "flags": (['{"type": "feature_flags", "data": {}}'], True),
    "without data": (['{"type": "feature_flags"}'], True),
    "after broken JSON, a list and bytes": (
        ["{broken", "[1, 2]", b"\0\0\0\1", "null", "", '{"type": "feature_flags"}'],
        True,
    ),
    "after another object": (['{"type": "hello"}', '{"type": "feature_flags"}'], False),
    "brackets without end": (["[" * 5_000, '{"type": "feature_flags"}'], True),
}


@pytest.mark.parametrize("messages, answered", FIRST_MESSAGES.values(), ids=FIRST_MESSAGES)
def test_flags_are_answered_on_the_first_object(messages: list[Any], answered: bool) -> None:
    rig = connected()

    for message in messages:
        rig.say("A", message)

    assert (rig.told() == ["feature_flags"]) is answered


def test_flags_of_older_servers_go_unanswered() -> None:
    rig = connected(version="0.3.40")

    rig.say("A", {"type": "feature_flags", "data": {}})

    assert rig.told() == []


def test_flags_belong_to_the_connection() -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    rig.leave("A")
    rig.connect("B", "A")

    rig.queue(SLOW)

    assert "binary 1" in rig.told("B")
