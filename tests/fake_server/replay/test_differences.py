"""The path to the first place where a replay is not its recording."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from fake_server.replay.differences import first_difference, first_difference_of_shape

DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "numbers": (1, 2, "was 1, in the replay 2"),
    "inside": (
        {"data": {"output": {"images": [{"filename": "a"}]}}},
        {"data": {"output": {"images": [{"filename": "b"}]}}},
        "data.output.images[0].filename was 'a', in the replay 'b'",
    ),
    "a shorter list": ({"a": [1, 2]}, {"a": [1]}, "a[1] was 2, in the replay nothing"),
    "a longer list": ([1], [1, 2], "[1] was nothing, in the replay 2"),
    "another key": (
        {"a": {"b": 1}},
        {"a": {"c": 1}},
        "a was an object with b, in the replay an object with c",
    ),
    "a key more": (
        {},
        {"a": 1},
        "was an object with no keys, in the replay an object with a",
    ),
    "an object for a list": ({"a": []}, {"a": {}}, "a was [], in the replay {}"),
    "the first of two": ({"a": 1, "b": 1}, {"a": 2, "b": 2}, "a was 1, in the replay 2"),
}


@pytest.mark.parametrize("recorded, replayed, sentence", DIFFERENT.values(), ids=DIFFERENT)
def test_the_first_difference_is_named(recorded: Any, replayed: Any, sentence: str) -> None:
    assert str(first_difference(recorded, replayed, operator.eq)) == sentence


@pytest.mark.parametrize("value", [None, 1, "a", [], {}, {"a": [1, {"b": None}]}])
def test_equal_values_do_not_differ(value: Any) -> None:
    assert first_difference(value, value, operator.eq) is None


def test_what_counts_as_equal_is_the_callers_to_say() -> None:
    assert first_difference({"a": "x"}, {"a": "X"}, lambda a, b: a.lower() == b.lower()) is None


@pytest.mark.parametrize(
    "recorded, replayed",
    [({"free": 1}, {"free": 2.5}), ({"log": ["a"]}, {"log": []}), ({"t": "1"}, {"t": "2"})],
)
def test_values_that_cannot_repeat_are_of_one_shape(recorded: Any, replayed: Any) -> None:
    assert first_difference_of_shape(recorded, replayed) is None


def test_another_kind_of_value_is_another_shape() -> None:
    difference = first_difference_of_shape({"system": {"os": "posix"}}, {"system": {"os": None}})

    assert str(difference) == "system.os was 'str', in the replay 'NoneType'"
