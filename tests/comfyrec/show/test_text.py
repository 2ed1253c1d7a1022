"""Times and sizes in words."""

from __future__ import annotations

import pytest

from comfyrec.show.text import bytes_in_words, duration, instant

DURATIONS = {
    65: "65 us",
    4_280: "4.28 ms",
    15_570: "15.6 ms",
    999_499: "999 ms",
    999_500: "1.00 s",
    14_326_000: "14.3 s",
    119_400_000: "119 s",
    125_000_000: "2 min 5 s",
    40_544_000_000: "11 h 15 min",
    None: "?",
}


@pytest.mark.parametrize("us, words", DURATIONS.items())
def test_durations_have_three_digits(us: int | None, words: str) -> None:
    assert duration(us) == words


@pytest.mark.parametrize(
    "size, words", [(77, "77 B"), (38_914, "38.0 KiB"), (1 << 20, "1.0 MiB"), (1 << 30, "1.0 GiB")]
)
def test_sizes_have_units(size: int, words: str) -> None:
    assert bytes_in_words(size) == words


def test_an_instant_beyond_the_calendar_is_a_number() -> None:
    assert instant(1_795_218_964_682_000) == "2026-11-20 23:56:04 UTC"
    assert instant(1 << 62) == "4611686018427387904 us"
