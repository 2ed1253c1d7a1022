"""Bodies that are a row of messages, server-sent events or JSON in lines: the messages in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from comfyrec.events.sse import ServerSentEvents

__all__ = ["StreamMessage", "StreamReader", "is_event_stream", "is_json_lines", "messages_of"]

_JSON_LINES: Final = frozenset(
    ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
     "application/json-seq", "application/stream+json"),
)  # fmt: skip
_AROUND_JSON: Final = b" \t\r\n\x1e"


class StreamMessage(msgspec.Struct, frozen=True):
    """One message of a body."""

    data: str
    event: str = ""
    """Its type; empty for JSON in lines."""
    id: str = ""
    """What a client that comes back names as ``Last-Event-ID``."""
    end: int = 0
    """Where in the body it ends, with the blank line behind it."""


def _type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def is_event_stream(content_type: str) -> bool:
    """Whether a body of that Content-Type is a row of server-sent events."""
    return _type(content_type) == "text/event-stream"


def is_json_lines(content_type: str) -> bool:
    """Whether a body of that Content-Type has one JSON value in each line."""
    return _type(content_type) in _JSON_LINES


class StreamReader:
    """Reads a body of either kind as it comes."""

    def __init__(self, content_type: str) -> None:
        self._events = ServerSentEvents() if is_event_stream(content_type) else None
        self._rest = b""

    @classmethod
    def of(cls, content_type: str) -> StreamReader | None:
        """A reader for a body of that Content-Type; None for one of another kind."""
        if is_event_stream(content_type) or is_json_lines(content_type):
            return cls(content_type)
        return None

    def feed(self, data: bytes) -> list[StreamMessage]:
        """The messages that these bytes complete."""
        if self._events is not None:
            return [StreamMessage(e.data, e.event, e.id) for e in self._events.feed(data)]
        *lines, self._rest = (self._rest + data).split(b"\n")
        texts = (line.strip(_AROUND_JSON) for line in lines)
        return [StreamMessage(text.decode("utf-8", "replace")) for text in texts if text]


def messages_of(content_type: str, body: bytes) -> Iterator[StreamMessage]:
    """The messages of a body of either kind; none of a body of another kind.

    What stands behind the last end of a message has not come whole, and is none.
    """
    reader = StreamReader.of(content_type)
    if reader is None:
        return
    end = 0
    for line in body.splitlines(keepends=True):
        end += len(line)
        for message in reader.feed(line):
            yield msgspec.structs.replace(message, end=end)
