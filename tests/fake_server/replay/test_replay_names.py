"""Ids in texts: found where they are ids, left where they are words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.replay.recorded.id_mapping import RecordedIds, deep_renamed

UUID, HEX = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00000040008000000000000001"
OTHER = "c0ffee00-0000-4000-8000-000000000002"
IDS = {UUID: "live-1", HEX: "live-2", "a": "live-3", "1": "live-4", "ü": "live-5"}


def renamed(text: str) -> str:
    return RecordedIds(IDS).renamed(text, lambda i: IDS[i])


def told(value: Any) -> str:
    return json.dumps(value)


CASES = {
    "a UUID anywhere": (f"x {UUID} y", "x live-1 y"),
    "a sid": (told({"sid": HEX}), told({"sid": "live-2"})),
    "twice": (f"{UUID}{{}}{UUID}", "live-1{}live-1"),
    "another UUID": (OTHER, OTHER),
    "a UUID inside of a longer word": (f"0{UUID}", f"0{UUID}"),
    "32 digits inside of more": (f"{HEX}0", f"{HEX}0"),
    "a short client id": (told({"client_id": "a"}), told({"client_id": "live-3"})),
    "a short sid": (told({"data": {"sid": "a"}}), told({"data": {"sid": "live-3"}})),
    "the same word elsewhere": (
        told({"class_type": "a", "a": "a"}),
        told({"class_type": "a", "a": "a"}),
    ),
    "a prompt id that is a node id": (
        told({"node": "1", "prompt_id": "1"}),
        told({"node": "1", "prompt_id": "live-4"}),
    ),
    "a queue item": (told([3, "1", {"1": {}}]), told([3, "live-4", {"1": {}}])),
    "a queue item in front": (told([-1.5, "1", {"x": 1}]), told([-1.5, "live-4", {"x": 1}])),
    "a link is no queue item": (told({"images": ["1", 0]}), told({"images": ["1", 0]})),
    "a history": (
        told({"1": {"prompt": [0, "1", {"1": {}}]}}),
        told({"live-4": {"prompt": [0, "live-4", {"1": {}}]}}),
    ),
    "a client id with an escape": (told({"client_id": "ü"}), told({"client_id": "live-5"})),
    "two that touch": ('{"id": "1","sid": "a"}', '{"id": "live-4","sid": "live-3"}'),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("text, expected", CASES.values(), ids=CASES)
def test_where_an_id_is_renamed(text: str, expected: str) -> None:
    assert renamed(text) == expected


def test_a_live_id_is_escaped() -> None:
    text = RecordedIds({UUID}).renamed(told({"prompt_id": UUID}), lambda _: 'a "b" \\ \n ü')

    assert json.loads(text) == {"prompt_id": 'a "b" \\ \n ü'}


def test_a_text_without_ids_needs_no_template() -> None:
    assert RecordedIds(IDS).template('{"type": "progress", "data": {"value": 1}}') is None


def test_many_ids_are_found_as_well_as_few() -> None:
    ids = {f"c0ffee00-0000-4000-8000-{n:012x}": f"live {n}" for n in range(100)}
    text = " ".join(ids)

    assert RecordedIds(ids).renamed(text, lambda i: ids[i]) == " ".join(ids.values())


PLAIN = [recorded for recorded in IDS if recorded.isascii()]


@given(st.text(alphabet='a1"\\{}[]:, -0cfe', max_size=200), st.sampled_from(PLAIN))
def test_renaming_to_itself_changes_nothing(text: str, name: str) -> None:
    text = f"{text}{name}{text}"

    assert RecordedIds(PLAIN).renamed(text, lambda i: i) == text


KEYS = st.sampled_from(["client_id", "sid", "prompt_id"])


@pytest.mark.slow
@given(st.dictionaries(KEYS, st.sampled_from([*IDS])))
def test_there_and_back_is_the_same(message: dict[str, str]) -> None:
    back = {own: recorded for recorded, own in IDS.items()}
    text = json.dumps(message)

    once = RecordedIds(IDS).renamed(text, lambda i: IDS[i])

    assert RecordedIds(back).renamed(once, lambda i: back[i]) == text


DEEP = {
    "behind a key for ids": ({"prompt_id": "1", "node": "1"}, {"prompt_id": "live-4", "node": "1"}),
    "a list of ids": ({"delete": ["1", "a"]}, {"delete": ["live-4", "live-3"]}),
    "a UUID anywhere, and as a key": ({"x": [UUID], UUID: 1}, {"x": ["live-1"], "live-1": 1}),
    "a graph": (
        {"prompt": {"1": {"inputs": {"a": "a"}}}},
        {"prompt": {"1": {"inputs": {"a": "a"}}}},
    ),
}


@pytest.mark.parametrize("value, expected", DEEP.values(), ids=DEEP)
def test_ids_of_a_request(value: Any, expected: Any) -> None:
    assert deep_renamed(value, lambda i: IDS.get(i, i)) == expected
