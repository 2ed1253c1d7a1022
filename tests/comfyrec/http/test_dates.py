"""Dates of header fields, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.http.dates import date_us, http_date


def test_a_date_is_written_as_http_wants_it() -> None:
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.integers(0, 4_102_444_800))
def test_a_date_that_was_written_is_read_back(seconds: int) -> None:
    assert date_us(http_date(seconds)) == seconds * 1_000_000


@pytest.mark.parametrize("written", ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_what_is_not_a_date_is_none(written: str) -> None:
    assert date_us(written) is None
