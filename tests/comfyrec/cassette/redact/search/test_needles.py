"""Many byte strings at once: the quick look must wake wherever one of them stands."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.redact.search.needles import LetterRuns, Needles

LETTERS = b"abcdefghijABCDEFGHIJ0123456789-_+/"
words = st.binary(min_size=1, max_size=90).map(
    lambda drawn: bytes(LETTERS[byte % len(LETTERS)] for byte in drawn)
)
around = st.binary(max_size=120) | words


@given(st.lists(words, min_size=1, max_size=30), around, around, st.data(), st.booleans())
def test_whatever_stands_there_is_a_candidate(
    listed: list[bytes], before: bytes, behind: bytes, data: st.DataObject, in_small_texts: bool
) -> None:
    needles = Needles(in_small_texts=in_small_texts)
    for word in listed:
        needles.add(word)
    text = before + data.draw(st.sampled_from(listed)) + behind

    standing = {word for word in listed if word in text}

    assert standing <= needles.candidates(text)
    assert needles.any_in(text)


@pytest.mark.parametrize("size", [3, 7, 11, 15, 16, 20, 31, 32, 64, 200])
def test_a_string_is_found_wherever_it_begins(size: int) -> None:
    chance = random.Random(size)
    listed = [bytes(chance.choices(LETTERS, k=size + n % 3)) for n in range(40)]
    needles = Needles()
    for word in listed:
        needles.add(word)

    for at in range(2 * size):
        word = listed[at % len(listed)]
        text = chance.randbytes(at) + word + chance.randbytes(5)
        assert word in needles.candidates(text), at


def test_a_text_with_none_of_many_wakes_nothing() -> None:
    chance = random.Random(1)
    needles = Needles()
    for _ in range(500):
        needles.add(bytes(chance.choices(LETTERS, k=24)))

    assert needles.candidates(b"the quick brown fox jumps over the lazy dog; " * 50) == set()


def test_a_string_without_a_byte_stands_everywhere() -> None:
    needles = Needles()
    needles.add(b"")

    assert needles.any_in(b"x")


@given(st.integers(8, 60), st.binary(max_size=400), st.binary(max_size=200), st.data())
def test_letters_in_a_row_are_seen_between_any_bytes(
    size: int, before: bytes, behind: bytes, data: st.DataObject
) -> None:
    row = data.draw(st.binary(min_size=size, max_size=size)).translate(
        bytes(LETTERS[byte % len(LETTERS)] for byte in range(256))
    )

    assert LetterRuns(LETTERS, size).may_stand_in(before + row + behind)


@pytest.mark.parametrize("size", [12, 16, 24, 40])
def test_random_bytes_hold_no_such_row(size: int) -> None:
    runs = LetterRuns(LETTERS, size)

    assert not runs.may_stand_in(random.Random(2).randbytes(60_000))


@pytest.mark.parametrize("gap", [1, 2, 3, 4, 7])
def test_letters_at_every_few_bytes_are_no_row(gap: int) -> None:
    """Numbers of four bytes, for one, have a letter at every fourth."""
    runs = LetterRuns(LETTERS, 16)

    assert not runs.may_stand_in((b"a" + bytes(gap)) * 5000)
    assert runs.may_stand_in((b"a" + bytes(gap)) * 5000 + b"a" * 16)


def test_how_many_of_the_last_bytes_are_letters() -> None:
    runs = LetterRuns(b"abc", 16)

    assert [runs.begun(data) for data in (b"xxabc", b"abcx", b"abc", b"")] == [3, 0, 3, 0]
