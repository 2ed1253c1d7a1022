"""Which live value stands for which recorded one."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.replay.live.bindings import CONFLICT, EQUAL, NEW, OTHER, UNLIKE, Bindings


def test_a_word_is_known_both_ways() -> None:
    bindings = Bindings()

    bindings.bind("cat", "dog")

    assert (bindings.live("cat"), bindings.recorded("dog")) == ("dog", "cat")


def test_a_drawn_tag_is_found_inside_other_names() -> None:
    bindings = Bindings()

    bindings.bind("in_ab12cd34.png", "in_ef56ab78.png")

    assert bindings.live("sub/ab12cd34.json") == "sub/ef56ab78.json"
    assert bindings.recorded("ef56ab78") == "ab12cd34"


@pytest.mark.parametrize("recorded, live", [("image", "color"), ("a1", "b2"), ("a b", "c")])
def test_a_plain_word_is_not_looked_for_inside_others(recorded: str, live: str) -> None:
    bindings = Bindings()

    bindings.bind(recorded, live)

    assert bindings.live(f"{recorded}/x") == f"{recorded}/x"


DISTANCES = {
    "the same text": ("a", "a", EQUAL),
    "the same number": (1, 1, EQUAL),
    "a bound text": ("cat", "dog", EQUAL),
    "a bound number": (5, 6, EQUAL),
    "a new tag": ("ab12cd34", "ef56ab78", NEW),
    "a new number": (7, 8, NEW),
    "another text": ("a bird", "a fish", OTHER),
    "a tag that another one stands for": ("ef56ab78", "0123abcd", CONFLICT),
    "a number that another one stands for": (5, 7, CONFLICT),
    "a path that leaves its folder": ("ab12cd34", "../../ef56ab78", UNLIKE),
    "another kind of file": ("a.png", "a.mp4", UNLIKE),
    "a text for a number": (1, "1", UNLIKE),
    "a truth for a number": (1, True, UNLIKE),
    "a negative number": (3, -3, UNLIKE),
}


@pytest.mark.parametrize("recorded, live, far", DISTANCES.values(), ids=DISTANCES)
def test_how_far_a_value_is(recorded: Any, live: Any, far: int) -> None:
    bindings = Bindings()
    bindings.bind_value("text", "cat", "dog")
    bindings.bind_value("tag", "ef56ab78", "9876fedc")
    bindings.bind_value("seed", 5, 6)

    assert bindings.distance("seed", recorded, live) == far


def test_equal_and_empty_texts_teach_nothing() -> None:
    bindings = Bindings()

    bindings.bind("same", "same")
    bindings.bind("", "x")
    bindings.bind("x", "")

    assert not bindings.any
