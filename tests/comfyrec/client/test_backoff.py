"""How long a client waits before it connects again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client.backoff import PAUSE_US_MAX, PAUSE_US_MIN, pause_us


def test_the_pause_doubles_with_each_attempt() -> None:
    assert [pause_us(attempts) for attempts in range(4)] == [250_000, 500_000, 1_000_000, 2_000_000]


@given(st.integers(0, 10**6))
def test_the_pause_has_bounds(attempts: int) -> None:
    assert PAUSE_US_MIN <= pause_us(attempts) <= PAUSE_US_MAX
