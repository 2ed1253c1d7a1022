"""A body of ``text/event-stream`` -> its events, piece by piece; and an event -> its text.

As the HTML standard has it (section 9.2.6, "Interpreting an event stream"): lines end in CR, LF or
both, a line that begins with a colon is a comment, an empty line ends an event, an event that the
body's end cuts off is none.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import msgspec

__all__ = ["COMMENT_FIELD", "ServerSentEvent", "ServerSentEvents", "sse_comment", "sse_event"]

EVENT_CHARS_MAX: Final = 64 * 1024 * 1024
"""Longer events are given up: a server that never ends one cannot fill the memory."""

COMMENT_FIELD: Final = ":"
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event of a stream."""

    data: str
    """The lines of its data, with line feeds between."""
    event: str = "message"
    """Its type."""
    id: str = ""
    """The last id that the stream has named, by this event or one before."""


class ServerSentEvents:
    """Reads a stream as it comes.

    Attributes:
        retry_ms: how long to wait before connecting again, if the stream says so.
        comments: how many comments have come; servers send them to say that they live.
        given_up: an event was longer than ``EVENT_CHARS_MAX``, and was left out.
    """

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.comments = 0
        self.given_up = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest: list[str] = []
        self._ends_in_cr = self._begun = False
        self._data: list[str] = []
        self._size = 0
        self._event = self._id = ""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete."""
        text = self._decoder.decode(data)
        if not self._begun and text:
            text, self._begun = text.removeprefix("\ufeff"), True
        if self._ends_in_cr and text:
            text, self._ends_in_cr = text.removeprefix("\n"), False
        if not text:
            return []
        # A line feed may follow in the next piece; the line has ended all the same.
        self._ends_in_cr = text.endswith("\r")
        *lines, rest = _LINE_END.split(text)
        if lines:
            lines[0] = "".join((*self._rest, lines[0]))
            self._rest = []
        if rest:
            self._size += len(rest)
            if self._size <= EVENT_CHARS_MAX:
                self._rest.append(rest)
        events = (self._line(line) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(COMMENT_FIELD):
            self.comments += 1
            return None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._size += len(value)
            if self._size <= EVENT_CHARS_MAX:
                self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value[:9])
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, self._data = self._data, []
        event, self._event = self._event, ""
        size, self._size = self._size, 0
        if size > EVENT_CHARS_MAX:
            self.given_up = True
            return None
        if not data:
            return None
        return ServerSentEvent("\n".join(data), event or "message", self._id)


def sse_event(event: str, data: str) -> bytes:
    """An event as it goes on the wire."""
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data))
    return f"event: {event}\n{lines}\n".encode()


def sse_comment(text: str = "keepalive") -> bytes:
    """A comment, which clients pass over."""
    return f": {text}\n\n".encode()
