"""Keys of services by how they look, and what only begins like one."""

from __future__ import annotations

import pytest

from comfyrec.cassette.redact.shapes import KEY_PAIR, SHAPES

STARTS = [start for shape in SHAPES for start in shape.starts]


def test_no_start_stands_twice() -> None:
    assert len(set(STARTS)) == len(STARTS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"a 7d1f0c3e-58ab-4e29-9c64-b2f3a8150d7e:c0ffee1d5a7b49e2863f10d4b7a9e5c2 b", True),
        (b"a 7d1f0c3e-58ab-4e29-9c64-b2f3a8150d7e:c0ffee1d b", False),
        (b"c0ffee1d5a7b49e2863f10d4b7a9e5c2:c0ffee1d5a7b49e2863f10d4b7a9e5c2", False),
    ],
)
def test_a_uuid_and_a_key_are_a_pair(text: bytes, *, found: bool) -> None:
    assert (KEY_PAIR.search(text) is not None) is found
