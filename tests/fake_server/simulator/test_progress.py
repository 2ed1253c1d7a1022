"""Progress, previews and texts of nodes: which frames, in which order, how often."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.storage.pictures import measure
from tests.support.engine_bench import Rig, lines, node

MAKE = node("Make", color=1)

SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def test_progress_comes_as_a_pair_and_the_node_finishes_at_its_maximum() -> None:
    rig = connected({"2": {"seconds": 0.4, "steps": 2}})

    rig.queue(SLOW)
    rig.finish()

    told = rig.told()
    start = told.index("run 2")
    assert told[start + 1 : start + 6] == [
        "state 1:1.0/1.0! 2:1/2",
        "progress 2 1/2",
        "state 1:1.0/1.0! 2:2/2",
        "progress 2 2/2",
        "state 1:1.0/1.0! 2:2/2!",
    ]


THROTTLED = {
    # W17 of the field notes: 10 steps in 0.3 s gave 1, 5, 9 and 10.
    "ten steps in 0.3 s": ({"seconds": 0.3, "steps": 10}, [1, 5, 9, 10]),
    "one step": ({"seconds": 0.0, "steps": 1}, [1]),
    "all at once": ({"seconds": 0.0, "steps": 5}, [1, 5]),
    "slow ones all pass": ({"seconds": 1.0, "steps": 4}, [1, 2, 3, 4]),
    "half a percent": ({"seconds": 100.0, "steps": 1000}, [1, *range(6, 1000, 5), 1000]),
    "previews are never held back": (
        {"seconds": 0.1, "steps": 4, "previews": {"size": [8, 8]}},
        [1, 2, 3, 4],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("plan, seen", THROTTLED.values(), ids=THROTTLED)
def test_progress_is_throttled_as_the_real_bar_is(plan: Any, seen: list[int]) -> None:
    rig = connected({"2": plan})

    rig.queue(SLOW)
    rig.finish()

    values = [
        f["data"]["value"] for f in rig.frames["A"] if type(f) is dict and f["type"] == "progress"
    ]
    assert values == seen


def test_older_servers_throttle_nothing() -> None:
    rig = connected({"2": {"seconds": 0.1, "steps": 9}}, version="0.8.2")

    rig.queue(SLOW)
    rig.finish()

    assert sum(one.startswith("progress ") for one in rig.told()) == 9


def preview_frames(rig: Rig) -> list[bytes]:
    return [frame for frame in rig.frames["A"] if isinstance(frame, bytes)]


@pytest.mark.parametrize("kind, number", [("jpeg", 1), ("png", 2)])
def test_a_preview_of_type_1_follows_its_progress(kind: str, number: int) -> None:
    rig = connected({"2": {"steps": 1, "previews": {"format": kind, "size": [12, 8]}}})

    rig.queue(SLOW)

    [frame] = preview_frames(rig)
    assert frame[:8] == bytes([0, 0, 0, 1, 0, 0, 0, number])
    size = measure(frame[8:])
    assert size is not None and size[:2] == (12, 8)
    told = rig.told()
    assert told[told.index("binary 1") - 1] == "progress 2 1/1"


def test_who_negotiated_metadata_gets_type_4_between_the_pair() -> None:
    rig = connected({"2": {"steps": 1, "previews": {"size": [12, 8]}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": True}})

    prompt_id = rig.queue(SLOW)

    [frame] = preview_frames(rig)
    length = int.from_bytes(frame[4:8], "big")
    assert json.loads(frame[8 : 8 + length]) == {
        "node_id": "2",
        "prompt_id": prompt_id,
        "display_node_id": "2",
        "parent_node_id": None,
        "real_node_id": "2",
        "image_type": "image/jpeg",
    }
    told = rig.told()
    assert told[told.index("binary 4") + 1] == "progress 2 1/1"


NOT_QUITE_TRUE = {"one": 1, "text": "true", "absent": None}


@pytest.mark.parametrize("flag", NOT_QUITE_TRUE.values(), ids=NOT_QUITE_TRUE)
def test_only_true_itself_is_support_for_metadata(flag: Any) -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": flag}})

    rig.queue(SLOW)

    assert preview_frames(rig)[0][:4] == b"\0\0\0\1"


def test_flags_that_are_null_break_the_node_that_shows_a_preview() -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})
    rig.say("A", {"type": "feature_flags", "data": None})

    prompt_id = rig.queue(SLOW)

    error = rig.history(prompt_id)["status"]["messages"][-1]
    assert error[0] == "execution_error"
    assert error[1]["exception_type"] == "AttributeError"


def test_previews_of_a_prompt_without_client_id_are_broadcast() -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})

    rig.queue(SLOW, client=None)

    assert "binary 1" in rig.told()


def test_text_on_a_node_goes_to_every_socket() -> None:
    rig = connected({"2": {"text": "grüß 😀"}})
    rig.connect("B")

    rig.queue(SLOW, client="nobody")

    frames = [frame for frame in rig.frames["B"] if isinstance(frame, bytes)]
    assert frames == [b"\0\0\0\3\0\0\0\x012" + "grüß 😀".encode()]


def test_get_image_size_says_what_it_saw() -> None:
    rig = connected()

    rig.queue(
        {
            "1": node("EmptyImage", width=17, height=23, batch_size=2, color=1),
            "2": node("GetImageSize", image=["1", 0]),
            "3": node("PreviewAny", source=["2", 0]),
        }
    )

    [frame] = preview_frames(rig)
    assert frame[9:] == b"width: 17, height: 23\n batch size: 2"


def test_a_websocket_save_sends_pictures_and_counts_from_zero() -> None:
    rig = connected()
    prompt = {
        "1": node("EmptyImage", width=16, height=8, batch_size=2, color=1),
        "2": node("SaveImageWebsocket", images=["1", 0]),
    }

    rig.queue(prompt)
    first = lines(rig.told())
    rig.queue(prompt)

    assert first[6:10] == ["progress 2 0/2", "binary 1", "progress 2 1/2", "binary 1"]
    assert "run 2" in rig.told(), "it is never cached"


def test_progress_of_old_servers_names_no_node_without_a_client() -> None:
    rig = connected({"2": {"steps": 1}}, version="0.3.40")

    rig.queue(SLOW, client=None)

    [frame] = [f for f in rig.frames["A"] if type(f) is dict and f["type"] == "progress"]
    assert frame["data"]["node"] is None


def test_around_0_38_a_node_may_say_what_it_is_busy_with() -> None:
    plan = {"2": {"seconds": 1, "steps": 1, "activity": "loading"}}
    rig = connected(plan, version="0.38.0")

    rig.queue(SLOW)
    rig.finish()

    states = [
        f["data"]["nodes"].get("2", {}) for f in rig.frames["A"] if kind_of(f) == "progress_state"
    ]
    assert [one.get("activity") for one in states if one] == [
        None,
        "loading",
        None,  # its progress
        None,
        *[None] * 3,
    ]
    older = connected(plan)
    older.queue(SLOW)
    older.finish()
    assert "activity" not in json.dumps([f for f in older.frames["A"] if isinstance(f, dict)])


def kind_of(frame: Any) -> Any:
    return frame["type"] if isinstance(frame, dict) else None
