"""Server-sent events: lines, comments, pieces of any size, and what is never an event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.events import sse
from comfyrec.events.sse import ServerSentEvent, ServerSentEvents, sse_comment, sse_event


def read(*pieces: bytes) -> list[ServerSentEvent]:
    stream = ServerSentEvents()
    return [event for piece in pieces for event in stream.feed(piece)]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"event: status\ndata: {}\n\n", [ServerSentEvent("{}", "status")]),
        (b"data:a\ndata: b\r\ndata:  c\r\r", [ServerSentEvent("a\nb\n c")]),
        (b"\xef\xbb\xbfdata: x\n\n", [ServerSentEvent("x")]),
        (
            b"id: 7\ndata: a\n\ndata: b\n\n",
            [ServerSentEvent("a", id="7"), ServerSentEvent("b", id="7")],
        ),
        (b"data\n\n", [ServerSentEvent("")]),
        (b"event: x\n\n", []),
        (b": only a comment\n\n", []),
        (b"data: cut off\n", []),
        (b"id: a\0b\nretry: soon\nnonsense: 1\ndata: x\n\n", [ServerSentEvent("x")]),
    ],
)
def test_a_stream_is_read_as_the_standard_has_it(body: bytes, events: list[ServerSentEvent]):
    assert read(body) == events
    assert read(*(body[i : i + 1] for i in range(len(body)))) == events


def test_comments_and_the_time_to_wait_are_told():
    stream = ServerSentEvents()

    assert stream.feed(sse_comment() + b"retry: 1500\n\n" + sse_comment("b")) == []
    assert (stream.comments, stream.retry_ms) == (2, 1500)


def test_an_event_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "EVENT_CHARS_MAX", 100)
    stream = ServerSentEvents()

    events = [e for _ in range(50) for e in stream.feed(b"data: 0123456789\n")]
    events += stream.feed(b"\ndata: next\n\n")

    assert events == [ServerSentEvent("next")]
    assert stream.given_up


@pytest.mark.slow
@given(
    event=st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1),
    data=st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])),
    cut=st.integers(0, 60),
)
def test_what_is_written_is_read_again(event: str, data: str, cut: int):
    written = sse_event(event, data)

    (found,) = read(written[:cut], written[cut:])

    assert (found.event, found.data) == (event.removeprefix(" "), data) or event.startswith(" ")
