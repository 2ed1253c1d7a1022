"""What is known is found: in every form, at every place, in pieces of every size."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.records import HttpPart, Side
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.redact.search.known import KnownSecrets, forms_of

SECRETS = [
    "hunter2x",
    "Qw7Zt2Lk9XbV4nR8",
    "a/b+c=d&e f\"g'h%i",
    "é-ümläut-key-0123456789",
    "9" * 20,
]
secrets = st.sampled_from(SECRETS) | st.text(
    st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=8, max_size=60
)
noise = st.binary(max_size=200) | st.text(max_size=80).map(str.encode)


def known(*values: str) -> KnownSecrets:
    every = KnownSecrets()
    for value in values:
        every.add(value.encode())
    return every


@pytest.mark.slow
@given(secrets, noise, noise)
def test_every_form_is_found_between_any_bytes(secret: str, before: bytes, behind: bytes) -> None:
    every = known(*SECRETS, secret)

    for form in forms_of(secret.encode()):
        data = before + form + behind
        spans = every.spans_in(data)
        # Another one may stand across its border; between them no byte of it is left.
        covered = {at for start, stop in spans for at in range(start, stop)}
        at = data.index(form)
        assert set(range(at, at + len(form))) <= covered


ESCAPED: list[Callable[[str], bytes]] = [
    lambda letter: b"\\u%04x" % ord(letter),
    lambda letter: b"%%%02X" % ord(letter),
    lambda letter: b"&#%d;" % ord(letter),
    lambda letter: b"&#x%x;" % ord(letter),
]


@pytest.mark.slow
@pytest.mark.parametrize("escaped", ESCAPED)
@given(st.integers(0, 15), noise, noise, st.booleans())
def test_a_letter_that_is_escaped_hides_nothing(
    escaped: Callable[[str], bytes], at: int, before: bytes, behind: bytes, zeros: bool
) -> None:
    secret = "Qw7Zt2Lk9XbV4nR8"
    written = secret[:at].encode() + escaped(secret[at]) + secret[at + 1 :].encode()
    data = before + bytes(zeros) + b" " + written + b" " + behind
    begin = data.index(written)

    spans = known(*SECRETS).spans_in(data)

    assert any(start <= begin and stop >= begin + len(written) for start, stop in spans)


WAYS: list[Callable[[bytes], bytes]] = [
    lambda secret: secret,
    base64.b64encode,
    lambda secret: base64.b64encode(b"x" + secret),
    lambda secret: quote(secret).encode(),
    lambda secret: json.dumps(secret.decode()).encode(),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [b"image/png", b"text/javascript", b"application/octet-stream"])
@given(st.sampled_from(WAYS), st.sampled_from(SECRETS[1:3]), st.data(), st.binary(max_size=300))
def test_no_piece_of_any_size_lets_one_through(
    kind: bytes,
    way: Callable[[bytes], bytes],
    secret: str,
    data: st.DataObject,
    around: bytes,
) -> None:
    form = way(secret.encode())
    whole = around + form + around[::-1]
    cut = data.draw(st.integers(0, len(whole)))
    redactor = Redactor([*SECRETS, *(f"T0k3n{n}" * 4 for n in range(40))])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % kind

    out = b""
    for last, (piece, of) in enumerate(((whole[:cut], head), (whole[cut:], b""))):
        record = redactor.record(HttpPart(1, 1, 1, Side.SERVER, 0, of, piece, last=bool(last)))
        assert isinstance(record, HttpPart)
        out += record.body

    # The first letters of one at the end of a piece may be an ordinary text: four of them stay.
    assert secret.encode() not in out
    assert len(out) == len(whole)
    core = form[2:-4]
    assert core not in out or core in around or core in around[::-1]
