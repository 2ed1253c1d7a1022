"""Which answers are replayed in time, and where a changed body is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Session, Side
from comfyrec.timeline import Timeline
from fake_server.replay.recorded.timed_body import TimedBody, cuts_in, offsets, timed_body

ASKED = HttpPart(1, 1, 1, Side.CLIENT, 0, b"GET /x HTTP/1.1\r\n\r\n")


def timed(
    fields: bytes, *pieces: tuple[int, bytes], end: int = 0, by: Side | None = None
) -> TimedBody | None:
    records: list[AnyRecord] = [Session(0, 1), ASKED]
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
    records.append(HttpPart(2, 1_000, 1, Side.SERVER, 0, head, b"", last=False))
    for t, data in pieces:
        records.append(HttpPart(len(records), t, 1, Side.SERVER, 0, b"", data, last=False))
    if by is None:
        records.append(HttpPart(len(records), end, 1, Side.SERVER, 0, b"", b"", last=True))
    else:
        records.append(Closed(len(records), end, 1, by))
    return timed_body(Timeline.build(records).exchanges[0])


CHUNKED = b"Transfer-Encoding: chunked\r\n"
TWO = ((101_000, b"ab"), (301_000, b"c"))


def test_a_body_of_unknown_length_is_replayed_in_its_time() -> None:
    body = timed(CHUNKED, *TWO, end=401_000)

    assert body is not None
    assert (body.ends, body.times, body.ended) == ((2, 3), (101_000, 301_000), 401_000)
    assert body.is_whole
    assert offsets([body.begun, *body.times, body.ended], None) == [0, 100_000, 300_000, 400_000]
    assert offsets([body.begun, *body.times, body.ended], 150_000) == [0, 100_000, 250_000, 350_000]


@pytest.mark.parametrize(
    ("fields", "pieces"),
    [
        (b"Content-Length: 3\r\n", TWO),  # a file
        (CHUNKED, ((1_100, b"ab"), (1_200, b"c"))),  # as quick as the wire
    ],
)
def test_what_came_at_once_is_sent_at_once(
    fields: bytes, pieces: tuple[tuple[int, bytes], ...]
) -> None:
    assert timed(fields, *pieces, end=pieces[-1][0]) is None


def test_one_piece_that_came_late_comes_late() -> None:
    body = timed(b"Content-Type: text/event-stream\r\nContent-Length: 2\r\n", TWO[0], end=101_000)

    assert body is not None
    assert body.times == (101_000,)


@pytest.mark.parametrize(("by", "left"), [(Side.SERVER, False), (Side.CLIENT, True)])
def test_who_cut_an_answer_is_known(by: Side, left: bool) -> None:
    body = timed(CHUNKED, *TWO, end=500_000, by=by)

    assert body is not None
    assert (body.is_whole, body.left, body.ended) == (False, left, 500_000)


def test_a_file_that_was_cut_is_cut_again_and_keeps_its_length() -> None:
    body = timed(b"Content-Length: 9\r\n", *TWO, end=500_000, by=Side.SERVER)

    assert body is not None
    assert body.keeps_length


def test_each_line_of_a_changed_body_comes_when_it_came() -> None:
    old, new = b"data: a\n\ndata: bb\n\n", b"data: aaaa\n\ndata: b\n\n"

    assert cuts_in(old, new, [9, 13, 19]) == [12, 16, len(new)]
    assert cuts_in(old, new, [8, 9]) == [11, 12]


@given(
    st.lists(st.sampled_from([b"a\n", b"bb", b"\n", b"ccc\r\n"]), max_size=8),
    st.lists(st.sampled_from([b"a\n", b"bb", b"\n", b"ccc\r\n"]), max_size=8),
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
)
def test_cuts_are_in_order_and_reach_the_end(
    old: list[bytes], new: list[bytes], ends: list[int]
) -> None:
    before, after = b"".join(old), b"".join(new)
    bounds = [*sorted(min(end, len(before)) for end in ends), len(before)]

    cuts = cuts_in(before, after, bounds)

    assert cuts == sorted(cuts)
    assert len(cuts) == len(bounds)
    assert cuts[-1] == len(after) or not before
