"""Bodies that are rows of messages."""

from __future__ import annotations

import pytest

from comfyrec.http.event_stream import is_event_stream, is_json_lines, messages_of

SSE = b"retry: 5\n\n: hello\n\nid: 7\nevent: progress\ndata: {\ndata: }\n\ndata: b\r\n\r\ndata: cut"


def test_server_sent_events_say_where_they_end() -> None:
    found = list(messages_of("text/event-stream; charset=utf-8", SSE))

    assert [(m.event, m.data, m.id) for m in found] == [
        ("progress", "{\n}", "7"),
        ("message", "b", "7"),
    ]
    assert SSE[found[0].end :].startswith(b"data: b")
    assert SSE[found[1].end :] in (b"\ndata: cut", b"data: cut")


def test_json_in_lines_is_one_message_a_line() -> None:
    body = b'{"a": 1}\n\n\x1e[2]\r\n{"cut'
    found = list(messages_of("application/x-ndjson", body))

    assert [(m.event, m.data) for m in found] == [("", '{"a": 1}'), ("", "[2]")]
    assert body[found[-1].end :] == b'{"cut'


@pytest.mark.parametrize("kind", ["application/json", "", "text/plain"])
def test_other_bodies_have_no_messages(kind: str) -> None:
    assert not is_event_stream(kind)
    assert not is_json_lines(kind)
    assert list(messages_of(kind, SSE)) == []
