"""Entries of object_info that are changed in place."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.nodes.catalogue import TAKES_ANY
from fake_server.nodes.object_info import free, options_of, set_option, written


@pytest.fixture
def entry() -> dict[str, Any]:
    return {"input": {"required": {"a": ("INT",)}, "optional": {"b": [["x"], {"default": "x"}]}}}


def test_an_input_is_found_in_either_section(entry: dict[str, Any]) -> None:
    assert (written(entry, "a"), written(entry, "b")) == (["INT"], [["x"], {"default": "x"}])
    assert written(entry, "c") is None


def test_an_option_is_added_to_those_that_are_there(entry: dict[str, Any]) -> None:
    set_option(entry, "a", "max", 5)
    set_option(entry, "b", "min", 1)

    assert entry["input"]["required"]["a"] == ["INT", {"max": 5}]
    assert options_of(entry["input"]["optional"]["b"]) == {"default": "x", "min": 1}


def test_an_input_is_freed_once_and_keeps_its_type(entry: dict[str, Any]) -> None:
    assert [free(entry, "a"), free(entry, "a"), free(entry, "c")] == [True, False, False]
    assert entry["input"]["required"]["a"] == ["INT", {TAKES_ANY: True}]
