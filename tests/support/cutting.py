"""Ways to cut bytes into chunks, for tests of parsers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from tests.support.lanes import examples

# The time that an example takes says more about the machine than about us.
fuzz = settings(
    max_examples=examples(100, 5_000),
)


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """The same bytes in pieces, cut anywhere; some pieces may be empty."""
    places = st.lists(st.integers(0, len(data)), max_size=8).map(sorted)
    return places.map(
        lambda at: [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]
    )


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """Real bytes with stretches cut out, doubled or overwritten."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 40)))
        data[start:stop] = draw(
            st.sampled_from([b"", bytes(data[start:stop]) * 2])
            | st.binary(max_size=12)
            | st.sampled_from(
                [b"\r\n", b"\n", b"\r", b"\x00", b" ", b":", b"0\r\n\r\n", b"\xff" * 9]
            )
        )
    return bytes(data)
