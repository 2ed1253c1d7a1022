"""Chance that comes from a seed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fake_server.seeded import SeededRandom


@given(st.integers())
@settings(max_examples=30)
def test_chance_is_the_same_for_the_same_seed(seed: int) -> None:
    one, other = SeededRandom(seed), SeededRandom(seed)

    assert [one.uuid() for _ in range(3)] == [other.uuid() for _ in range(3)]
    assert one.temp_letters() == other.temp_letters()
