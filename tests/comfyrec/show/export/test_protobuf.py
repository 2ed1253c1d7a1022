"""The encoding, against the examples of its specification."""

from __future__ import annotations

from comfyrec.show.export.protobuf import double, integer, message, text


def test_the_examples_of_the_specification() -> None:
    assert integer(1, 150) == b"\x08\x96\x01"
    assert text(2, "testing") == b"\x12\x07testing"
    assert message(3, integer(1, 150)) == b"\x1a\x03\x08\x96\x01"


def test_large_numbers_fields_and_doubles() -> None:
    assert integer(30, 1 << 40) == b"\xf0\x01\x80\x80\x80\x80\x80\x20"
    assert double(5, 1.5) == b"\x29\x00\x00\x00\x00\x00\x00\xf8\x3f"


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert text(1, "\ud800") == b"\x0a\x01?"
