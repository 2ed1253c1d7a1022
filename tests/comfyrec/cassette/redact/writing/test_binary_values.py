"""Where a text begins and ends behind a name, by the bytes that say its size."""

from __future__ import annotations

import pickle
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.redact.writing.binary_values import text_behind

NAME = re.compile(rb"[\w.\-]+")


def behind(data: bytes, name: bytes) -> bytes | None:
    at = data.index(name)
    match = next(m for m in NAME.finditer(data) if m.start() <= at < m.end())
    found = text_behind(data, match.start(), match.end())
    return data[found[1] : found[2]] if found else None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=400))
def test_a_text_of_messagepack_is_found_whole(text: str) -> None:
    data = msgspec.msgpack.encode([1, {"api_key": text, "next": "other"}])

    assert behind(data, b"api_key") == text.encode()


@pytest.mark.parametrize("size", [8, 30, 31, 32, 200, 300])
def test_so_it_is_in_other_encodings(size: int) -> None:
    text = b"k" * size
    cbor = b"x%c" % size if size < 256 else b"y" + size.to_bytes(2, "big")
    varint = b"%c" % size if size < 128 else bytes((size & 0x7F | 0x80, size >> 7))

    assert behind(pickle.dumps({"api_key": text.decode()}, 4), b"api_key") in (text, None)
    assert behind(b"\n\7api_key\x12" + varint + text, b"api_key") == text
    if size > 23:
        assert behind(b"\xa1gapi_key" + cbor + text, b"api_key") == text


@pytest.mark.parametrize(
    "data", [b"api_key", b"api_key\xd9", b"api_key\xa8\0\1\2", b"api_key\xd9\x10", b"api_key = x"]
)
def test_where_there_is_none_none_is_found(data: bytes) -> None:
    assert behind(data, b"api_key") is None


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    text_behind(b"api_key" + data, 0, 7)
