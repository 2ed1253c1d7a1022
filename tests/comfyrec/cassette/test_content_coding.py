"""Bodies under a content coding: read, and written anew in the same size."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from comfyrec.cassette import content_coding
from comfyrec.cassette.content_coding import decoded, is_readable, same_size
from comfyrec.cassette.records import HttpPart, Side
from comfyrec.cassette.redact.redactor import Redactor
from tests.support.redaction_samples import filled, zstd

SECRET = "Zk83mQ2LxV7tR9pW4bN6"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\n\r\n"


def brotli(data: bytes) -> bytes:
    package: Any = pytest.importorskip("brotli")
    return bytes(package.compress(data))


PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"zstd": zstd,
    b"br": brotli,
}


@pytest.mark.slow
@pytest.mark.parametrize("coding", PACKERS, ids=bytes.decode)
@pytest.mark.parametrize("spare", [10, 21, 400, 70_000])
def test_a_body_is_written_anew_in_any_larger_size(coding: bytes, spare: int) -> None:
    data = filled(b"[]")
    size = len(PACKERS[coding](data)) + spare

    again = same_size(data, coding, size)

    assert again is not None
    assert len(again) == size
    assert decoded(again, coding) == data


@pytest.mark.parametrize("coding", PACKERS, ids=bytes.decode)
def test_a_secret_is_taken_out_of_a_packed_body(coding: bytes) -> None:
    packed = PACKERS[coding](filled(json.dumps({"api_key": SECRET}).encode()))
    part = HttpPart(1, 1, 1, Side.SERVER, 0, HEAD % coding, packed)

    new = Redactor().record(part)

    assert isinstance(new, HttpPart)
    text = decoded(new.body, coding)
    assert text is not None
    assert SECRET.encode() not in text
    assert len(new.body) == len(packed)


@pytest.mark.slow
@pytest.mark.parametrize("coding", PACKERS, ids=bytes.decode)
def test_what_is_not_packed_and_what_unpacks_to_too_much_is_not_read(coding: bytes) -> None:
    bomb = PACKERS[coding](bytes(80 << 20))

    assert decoded(b"this is not packed", coding) is None
    assert decoded(bomb, coding) is None


def test_brotli_is_not_read_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_coding, "_brotli", lambda: None)
    part = HttpPart(1, 1, 1, Side.SERVER, 0, HEAD % b"br", b"\x0b\x02\x80hello\x03")
    redactor = Redactor()

    assert not is_readable(b"br")
    assert redactor.record(part) is part
    assert redactor.take_unread() == [(1, "bodies in the coding br")]
