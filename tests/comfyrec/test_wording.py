"""How a text is cut, a list is shortened, things are counted and a near miss is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.wording import did_you_mean, nearest, plural, shortened, shortened_list


@given(st.text(), st.integers(0, 50))
def test_a_shortened_text_is_never_longer_than_asked_for(text: str, length: int) -> None:
    assert len(shortened(text, length)) <= length


@given(st.text(max_size=60), st.integers(3, 50))
def test_a_shortened_text_is_the_text_or_its_beginning_and_three_dots(
    text: str, length: int
) -> None:
    cut = shortened(text, length)

    assert cut == text or (cut.endswith("...") and text.startswith(cut[:-3]))
    assert (cut == text) or len(text) > length


@given(st.lists(st.text()), st.integers(0, 10))
def test_a_shortened_list_tells_how_many_items_it_leaves_out(items: list[str], most: int) -> None:
    shown = shortened_list(items, most)

    left_out = len(items) - most
    assert shown == (items if left_out <= 0 else [*items[:most], f"and {left_out} more"])


@pytest.mark.parametrize(
    "number, words", [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (-1, "-1 frames")]
)
def test_things_are_counted_in_singular_and_plural(number: int, words: str) -> None:
    assert plural(number, "frame") == words


@pytest.mark.slow
@given(st.lists(st.text(min_size=1), min_size=1, max_size=20), st.data())
def test_a_word_of_the_list_is_nearest_to_itself(words: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(words))

    assert nearest(word, words) == word


@given(st.text(), st.lists(st.text(), max_size=20))
def test_the_nearest_word_is_one_of_the_list_or_nothing(word: str, words: list[str]) -> None:
    assert nearest(word, words) in [None, *words]


def test_a_near_miss_is_named() -> None:
    assert did_you_mean("sucess", ["oom", "success"], otherwise="") == "did you mean 'success'?"


def test_something_else_is_said_where_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["oom", "success"], otherwise="see --help") == "see --help"


def test_a_list_of_any_length_is_searched_only_so_far() -> None:
    words = (str(number) for number in range(10_000_000))

    assert nearest("999", words) == "999"
    assert next(words) == "1000"
