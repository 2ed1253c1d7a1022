"""The texts in an object, however deep."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.redact.writing.members import texts_in


def texts(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, data[at.end() : at.end() + 1]) for name, at in texts_in(data, 0)]


def test_names_and_texts_of_members_and_lists() -> None:
    value = {"a": "x", "n": 1, "b": {"c": "y"}, "l": ["z", None], "e": ""}

    assert texts(json.dumps(value).encode()) == [
        (b"a", b"x"),
        (b"c", b"y"),
        (b"l", b"z"),
        (b"e", b'"'),
    ]


def test_the_object_behind_it_is_not_a_part_of_it() -> None:
    assert texts(b'{"a": "x"}, "b": "y"}') == [(b"a", b"x")]


def test_inside_a_string_it_is_the_same() -> None:
    assert texts(b'{\\"a\\": \\"x\\"}", "b": "y"') == [(b"a", b"x")]


def test_as_far_as_it_has_come() -> None:
    assert texts(b'{"a": "x", "b": "y') == [(b"a", b"x"), (b"b", b"y")]


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    list(texts_in(b"{" + data, 0))
