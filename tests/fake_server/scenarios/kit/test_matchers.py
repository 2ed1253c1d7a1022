"""Messages as operators look at them, and matchers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.scenarios.kit import binary, event, framed, route
from fake_server.scenarios.kit.matchers import look
from tests.support.operator_rig import ASK, RUN


@given(st.lists(st.sampled_from(RUN), max_size=6), st.integers(1, 5))
def test_fragments_join_to_the_message(messages: list[str], parts: int) -> None:
    for message in messages:
        assert joined(framed(message, parts=parts)) == message.encode()


def joined(data: bytes) -> bytes:
    """The payloads of short and medium frames, one behind the other."""
    whole = b""
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        whole, data = whole + data[start : start + size], data[start + size :]
    return whole


LOOKS = {
    "an event": ('{"type": "x", "data": {"a": NaN}}', "x"),
    "a list": ("[1]", ""),
    "no json": ("<html>", ""),
    "no type": ('{"data": 1}', ""),
    "deep": ("[" * 5_000, ""),
    "data is a list": ('{"type": "x", "data": []}', "x"),
}


@pytest.mark.parametrize("message, kind", LOOKS.values(), ids=LOOKS)
def test_a_look_never_fails(message: str, kind: str) -> None:
    assert look(message).type == kind


def test_binary_frames_are_told_apart_by_their_kind() -> None:
    frame = look(b"\x00\x00\x00\x01rest")

    assert binary(1)(frame)
    assert not binary(4)(frame)
    assert not event()(frame)
    assert route("GET /history/{}")(ASK.request)
