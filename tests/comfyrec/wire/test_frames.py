"""Frames that we write, read back by our reader and by websockets' own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close as TheirClose
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from comfyrec.wire.frames import (
    BINARY,
    CONTINUATION,
    TEXT,
    close_payload,
    frame,
    frame_head,
    message_frame,
    payload_of,
)
from comfyrec.wire.websocket import Frame, FrameReader

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY])
@pytest.mark.parametrize("final", [True, False])
def test_a_frame_is_the_same_bytes_that_websockets_writes(
    size: int, opcode: int, final: bool
) -> None:
    payload = bytes(size)

    written = frame(opcode, payload, final=final)

    theirs = TheirFrame(Opcode(opcode), payload, final)
    assert written == theirs.serialize(mask=False)


def test_a_compressed_frame_has_one_bit_more() -> None:
    plain, compressed = frame(TEXT, b"ab"), frame(TEXT, b"ab", compressed=True)

    assert (plain[0], compressed[0], plain[1:] == compressed[1:]) == (0x81, 0xC1, True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [True, False])
def test_a_head_is_read_back_with_its_payload(size: int, masked: bool) -> None:
    payload = b"x" * size
    head = frame_head(BINARY, size, masked=masked)

    assert FrameReader().feed(head + payload) == [Frame(head, payload)]


def test_a_message_is_framed_by_its_kind() -> None:
    assert (message_frame("ä"), message_frame(b"ab")) == (b"\x81\x02\xc3\xa4", b"\x82\x02ab")


def test_a_lone_surrogate_stays_what_it_is() -> None:
    assert payload_of("\ud800") == (TEXT, b"\xed\xa0\x80")


@given(st.integers(3000, 4999), st.text(max_size=30))
def test_a_close_is_the_same_bytes_that_websockets_writes(code: int, reason: str) -> None:
    assert close_payload(code, reason) == TheirClose(code, reason).serialize()


def test_a_close_without_a_code_is_empty_and_a_long_reason_is_cut() -> None:
    assert close_payload(None) == b""
    assert close_payload(1000, "a" * 200) == b"\x03\xe8" + b"a" * 123
