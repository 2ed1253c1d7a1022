"""What a prompt's ``workflow_metadata`` does to the messages about it (0.40.0, upstream #16763)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.events import Misfit, PreviewWithMetadata, TextEvent, comfy_json, decode
from tests.support.engine_bench import Rig, node

MAKE = node("Make", color=1)
SAVE = {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="a")}
SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}
FROM_FRONTEND = {"extra_pnginfo": {"workflow": {"id": "wf-2"}}}
TOO_LONG = {"k": "v" * 248}


def connected(*args: Any, version: str = "0.40.0", **kwargs: Any) -> Rig:
    rig = Rig(*args, version=version, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def data_of(rig: Rig) -> list[dict[str, Any]]:
    """The data of the text frames that name a prompt."""
    frames = [frame for frame in rig.frames["A"] if not isinstance(frame, bytes)]
    return [frame["data"] for frame in frames if "prompt_id" in frame["data"]]


def pictures(rig: Rig) -> list[bytes]:
    return [frame for frame in rig.frames["A"] if isinstance(frame, bytes)]


def test_all_messages_about_a_prompt_begin_with_its_metadata() -> None:
    rig = connected()

    rig.queue(SAVE, workflow_metadata={"workflow_id": "wf-1", "trace": 7})
    rig.finish()

    kinds = {frame["type"] for frame in rig.frames["A"] if not isinstance(frame, bytes)}
    assert kinds >= {"execution_start", "execution_cached", "executing", "executed"}
    assert {tuple(data)[:2] for data in data_of(rig)} == {("workflow_id", "trace")}
    assert {(data["workflow_id"], data["trace"]) for data in data_of(rig)} == {("wf-1", 7)}


def test_what_names_no_prompt_has_no_metadata() -> None:
    rig = connected({"1": {"events": [["pack.note", {"a": 1}]]}})

    rig.queue(SAVE, workflow_metadata={"k": 1})
    rig.finish()

    others = [f for f in rig.frames["A"] if isinstance(f, dict) and "prompt_id" not in f["data"]]
    assert {frame["type"] for frame in others} == {"status", "pack.note"}
    assert not [frame for frame in others if "k" in frame["data"]]


def test_a_message_s_own_fields_win_in_the_place_of_the_metadata() -> None:
    rig = connected()

    rig.queue(SAVE, workflow_metadata={"node": "x", "k": 1})
    rig.finish()

    start, running = data_of(rig)[0], data_of(rig)[3]
    assert (start["node"], list(start)[:2]) == ("x", ["node", "k"])
    assert list(running) == ["node", "k", "display_node", "prompt_id"]
    assert running["node"] == "1"


def test_a_preview_that_says_whose_it_is_has_the_metadata_in_front() -> None:
    rig = connected({"2": {"steps": 1, "previews": {"size": [8, 8]}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": True}})

    rig.queue(SLOW, workflow_metadata={"workflow_id": "w", "image_type": "mine"})
    rig.finish()

    (frame,) = pictures(rig)
    event = decode(frame)
    assert isinstance(event, PreviewWithMetadata)
    said = json.loads(frame[8 : 8 + int.from_bytes(frame[4:8], "big")])
    assert list(said)[:3] == ["workflow_id", "image_type", "node_id"]
    assert said["image_type"] == event.image_type == "image/jpeg"
    assert event.extra == {"workflow_id": "w"}


def test_a_preview_that_says_nothing_is_as_ever() -> None:
    rig = connected({"2": {"steps": 1, "previews": {"size": [8, 8]}}})

    rig.queue(SLOW, workflow_metadata={"workflow_id": "w"})
    rig.finish()

    assert [frame[:8].hex() for frame in pictures(rig)] == ["0000000100000001"]


@pytest.mark.parametrize(
    "sent, extra_data, kept",
    [
        pytest.param({"k": 1}, {}, {"k": 1}, id="what the client chose"),
        pytest.param({"k": 1}, FROM_FRONTEND, {"k": 1}, id="before the workflow's id"),
        pytest.param(None, FROM_FRONTEND, {"workflow_id": "wf-2"}, id="the workflow's id"),
        pytest.param("text", FROM_FRONTEND, {"workflow_id": "wf-2"}, id="no object"),
        pytest.param(TOO_LONG, FROM_FRONTEND, {"workflow_id": "wf-2"}, id="too long"),
        pytest.param({}, FROM_FRONTEND, {}, id="nothing on purpose"),
        pytest.param(TOO_LONG, {}, None, id="too long and nothing else"),
        pytest.param(None, {"workflow_metadata": {"k": 1}}, None, id="in extra_data"),
        pytest.param(None, {"extra_pnginfo": {"workflow": {"id": 5}}}, None, id="id no text"),
        pytest.param(None, {"extra_pnginfo": {"workflow": {"id": ""}}}, None, id="id empty"),
        pytest.param(None, {"extra_pnginfo": ["workflow"]}, None, id="no object of pictures"),
    ],
)
def test_which_metadata_counts(sent: Any, extra_data: Any, kept: Any) -> None:
    rig = connected()
    beside = {} if sent is None else {"workflow_metadata": sent}

    prompt_id = rig.queue(SAVE, extra_data=extra_data, **beside)
    rig.finish()

    expected = {} if kept is None else {"workflow_metadata": kept}
    shown = rig.history(prompt_id)["prompt"][3]
    assert {k: v for k, v in shown.items() if k == "workflow_metadata"} == expected
    assert {tuple(data)[: len(kept or {})] for data in data_of(rig)} == {tuple(kept or {})}


def test_the_longest_metadata_that_is_taken_has_256_letters_of_json() -> None:
    longest = {"k": "v" * 247}
    rig = connected()

    prompt_id = rig.queue(SAVE, workflow_metadata=longest)
    rig.finish()

    assert len(comfy_json(longest)) == 256
    assert rig.history(prompt_id)["prompt"][3]["workflow_metadata"] == longest


def test_the_history_keeps_messages_without_metadata() -> None:
    rig = connected()

    prompt_id = rig.queue(SAVE, workflow_metadata={"k": 1})
    rig.finish()

    messages = rig.history(prompt_id)["status"]["messages"]
    assert messages[0][0] == "execution_start"
    assert not [data for _, data in messages if "k" in data]


def test_the_next_prompt_has_its_own_metadata() -> None:
    rig = connected({"1": {"seconds": 1}})

    rig.queue(SAVE, workflow_metadata={"k": 1})
    rig.queue(SLOW)
    rig.finish()

    by_prompt: dict[str, set[Any]] = {}
    for data in data_of(rig):
        by_prompt.setdefault(data["prompt_id"], set()).add(data.get("k"))
    assert list(by_prompt.values()) == [{1}, {None}]


def test_a_prompt_that_is_thrown_away_leaves_no_metadata() -> None:
    rig = connected({"1": {"seconds": 1}})
    rig.queue(SAVE, workflow_metadata={"k": 1})

    rig.engine.reset(["queue"], rig.now)
    rig.told()
    rig.engine.publish("pack.note", {"prompt_id": "p"}, "A", rig.now)
    rig.collect()

    assert data_of(rig) == [{"prompt_id": "p"}]


def test_older_servers_know_no_metadata() -> None:
    rig = connected(version="0.38.0")

    rig.queue(SAVE, workflow_metadata={"k": 1}, extra_data=FROM_FRONTEND)
    rig.finish()

    assert not [data for data in data_of(rig) if {"k", "workflow_id"} & set(data)]


def test_extra_data_that_is_no_object_breaks_even_a_refused_prompt() -> None:
    rig = connected()

    answer = rig.ask("POST", "/prompt", {"prompt": {}, "extra_data": "AAA"})

    assert answer.status == 500


@pytest.mark.parametrize("metadata", [{"workflow_id": "w"}, {"trace": {"a": [1]}, "timestamp": 5}])
def test_messages_with_metadata_are_the_events_they_always_were(metadata: Any) -> None:
    plain, stamped = connected(), connected()
    for rig, beside in ((plain, {}), (stamped, {"workflow_metadata": metadata})):
        rig.queue(SAVE, **beside)
        rig.finish()

    before, after = (
        [decode(comfy_json(frame)) for frame in rig.frames["A"]] for rig in (plain, stamped)
    )

    assert [type(event) for event in after] == [type(event) for event in before]
    assert not any(isinstance(event, Misfit) for event in after)
    named = [event for event in after if isinstance(event, TextEvent) and event.prompt_id]
    assert all(metadata.items() >= event.extra.items() for event in named)
    assert {key for event in named for key in event.extra} == set(metadata)
