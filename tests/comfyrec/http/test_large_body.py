"""Bodies that stand in files: found in, compared, read as forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.files.body_file import BodyFile, FileBody
from comfyrec.http import forms, large_body
from comfyrec.http.forms import BadForm, fields_of, fields_of_stored
from comfyrec.http.large_body import (
    SizeOnly,
    find_in,
    is_stored_type,
    pieces_of,
    same_bytes,
    sample_key,
)


def body_of(data: bytes) -> FileBody:
    writer = BodyFile().begin()
    writer.write(data)
    return writer.done()


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=3), st.integers(0, 60))
def test_what_is_looked_for_is_found_across_pieces(data: bytes, wanted: bytes, start: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_body, "PIECE", 4)

        assert find_in(body_of(data), wanted, start) == data.find(wanted, start)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_equal_is_what_has_the_same_bytes(one: bytes, other: bytes) -> None:
    assert same_bytes(body_of(one), body_of(other)) == (one == other)
    assert b"".join(pieces_of(body_of(one))) == one
    if one == other:
        assert sample_key(body_of(one)) == sample_key(body_of(other))


def test_samples_tell_most_bodies_apart() -> None:
    data = bytes(300_000)

    assert sample_key(body_of(data)) != sample_key(body_of(data + b"\0"))
    assert sample_key(body_of(data)) != sample_key(body_of(b"\1" + data[1:]))
    assert sample_key(body_of(data)) != sample_key(body_of(data[:-1] + b"\1"))


@pytest.mark.parametrize(
    ("content_type", "is_stored"),
    [
        ("image/png", True),
        ("Multipart/form-data; boundary=x", True),
        ("application/octet-stream", True),
        ("application/json", False),
        ("text/event-stream", False),
        ("", False),
    ],
)
def test_text_stays_in_memory(content_type: str, is_stored: bool) -> None:
    assert is_stored_type(content_type) is is_stored


FORM = (
    b'--B\r\nContent-Disposition: form-data; name="type"\r\n\r\ninput\r\n'
    b'--B\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n" + bytes(range(256)) * 8 + b"\r\n--B--\r\n"
)
KIND = "multipart/form-data; boundary=B"


@pytest.mark.parametrize("preamble", [b"", b"before\r\n"])
def test_a_form_in_a_file_reads_as_one_in_memory(
    monkeypatch: pytest.MonkeyPatch, preamble: bytes
) -> None:
    monkeypatch.setattr(forms, "STORED_MIN", 1000)
    monkeypatch.setattr(large_body, "PIECE", 100)

    small, large = fields_of_stored(KIND, body_of(preamble + FORM))

    assert [small, large.filename] == [fields_of(KIND, FORM)[0], "a.png"]
    assert large.content_type == "image/png"
    assert large.value == b""
    assert large.stored is not None
    assert large.stored.read(0, large.size) == fields_of(KIND, FORM)[1].value


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        FORM.removesuffix(b"--B--\r\n"),
        FORM.replace(b'name="type"', b""),
        FORM.replace(b"\r\n\r\n", b"\r\n"),
    ],
)
def test_a_broken_form_is_refused_as_in_memory(broken: bytes) -> None:
    for read, body in ((fields_of, broken), (fields_of_stored, body_of(broken))):
        with pytest.raises(BadForm):
            read(KIND, body)  # type: ignore[operator]  # each with its own kind of body


def test_a_store_may_keep_no_more_than_sizes() -> None:
    writer = SizeOnly().begin()
    writer.write(b"abc")
    writer.write(b"de")

    body = writer.done()

    assert (body.size, body.read(0, 5), body.part(2, 9).size) == (5, b"", 3)
