"""One struct per thing that a recording tells of: exchange, socket, message, prompt.

Places and times: ``at`` is the place of a record in the recording, counted from 0, so that two
things on different connections can be put in order; ``t`` is absolute Unix time in microseconds.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.http.event_stream import StreamMessage
from comfyrec.http.large_body import StoredBody
from comfyrec.http.request import Request, loads_or_none, target_of
from comfyrec.timeline.message_summary import NOTHING, Peek

__all__ = [
    "BodyMessage",
    "Closing",
    "Exchange",
    "HttpMessage",
    "Message",
    "Piece",
    "RecordedPrompt",
    "Socket",
]


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A piece of a body."""

    at: int
    t: int
    size: int
    """Bytes of the body."""


class BodyMessage(msgspec.Struct, frozen=True, gc=False):
    """A message of a body that is a row of them."""

    at: int
    """Place of the record that completed it."""
    t: int
    message: StreamMessage


class HttpMessage(msgspec.Struct, frozen=True):
    """A request or a response, put together again."""

    start: str
    """The start line, such as ``GET /queue HTTP/1.1`` or ``HTTP/1.1 200 OK``."""
    headers: tuple[tuple[str, str], ...]
    """In the order and case of the wire."""
    body: bytes
    """Transfer coding undone, content coding not."""
    at: int
    """Place of the record that completed it, or of the last one there was."""
    t: int
    """Time of its first record."""
    t_end: int
    complete: bool = True
    """False: the recording ends, or the connection was cut, before the message did."""
    omitted_bytes: int = 0
    """Bytes of the body that whoever recorded it left out."""
    stored: StoredBody | None = None
    """The body, when it stands in a file; ``body`` is empty then."""
    pieces: tuple[Piece, ...] = ()
    """The body as it came, when it came in several pieces: those that hold something of it."""
    said: tuple[BodyMessage, ...] = ()
    """The messages of a row of server-sent events, or of JSON in lines."""

    def header(self, name: str, default: str = "") -> str:
        """The first field of that name, whatever its case."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), default)


class Exchange(msgspec.Struct, frozen=True, dict=True):
    """One HTTP request and what came of it."""

    number: int
    """Among all exchanges of the timeline, in order of their requests, from 0."""
    conn: int
    request: HttpMessage
    response: HttpMessage | None = None
    """None when no answer was recorded."""
    cut_by: Side | None = None
    """Who ended the connection before the answer was whole; None: nobody, or it is unknown."""
    cut_t: int = 0
    cut_at: int = 0
    """Place of the record that tells of it."""

    @cached_property
    def method(self) -> str:
        """As sent."""
        return self.request.start.partition(" ")[0]

    @cached_property
    def target(self) -> str:
        """Path and query as sent, still percent-encoded; the origin of an absolute form is not."""
        _, _, rest = self.request.start.partition(" ")
        target = rest.rpartition(" ")[0] or rest
        if target.startswith("/"):
            return target
        parts = target_of(target)
        return f"{parts.raw_path}?{parts.raw_query}" if parts.raw_query else parts.raw_path

    @property
    def asked(self) -> Request:
        """The request, to be taken apart. Made anew each time, so that a long recording does not
        keep what was read of each large body, unless that stands in a file."""
        return self._asked if self.request.stored is not None else self._asked_anew()

    @cached_property
    def _asked(self) -> Request:
        return self._asked_anew()

    def _asked_anew(self) -> Request:
        message = self.request
        return Request(
            self.method, self.target, message.headers, message.body, stored=message.stored
        )

    @property
    def path(self) -> str:
        """Percent-decoded, without query and without ``/api`` in front."""
        return target_of(self.target).path

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The query, decoded, in order."""
        return target_of(self.target).pairs

    @cached_property
    def status(self) -> int | None:
        """Of the answer; None when there is none."""
        word = self.response.start.split(" ")[1:2] if self.response else []
        return int(word[0]) if word and word[0].isdigit() else None

    @property
    def response_body(self) -> bytes:
        """The body of the answer, content coding not undone; empty when there is none."""
        return self.response.body if self.response is not None else b""

    # Parsed anew each time: a long recording holds many large bodies that are looked at once.

    @property
    def request_json(self) -> Any:
        """The request body as JSON, None when it is none."""
        return loads_or_none(self.request.body) if self.request.body else None

    @property
    def response_json(self) -> Any:
        """The answer's body as JSON, None when it is none."""
        return loads_or_none(self.response.body) if self.response and self.response.body else None


class Message(msgspec.Struct, frozen=True):
    """One WebSocket message: fragments joined, deflate undone."""

    at: int
    t: int
    side: Side
    data: str | bytes
    """``str`` for text, ``bytes`` for binary."""
    peek: Peek = NOTHING
    """What a text message from the server says about where it belongs."""

    @property
    def binary_type(self) -> int | None:
        """The event number of a binary frame; None for text and for less than four bytes."""
        data = self.data
        if isinstance(data, str) or len(data) < 4:
            return None
        return int.from_bytes(data[:4], "big")


class Closing(msgspec.Struct, frozen=True):
    """How a socket ended."""

    at: int
    t: int
    by: Side
    """Who was first."""
    code: int | None = None
    """Of the close frame; None when it had none, or when there was no close frame."""
    reason: str = ""
    clean: bool = True
    """False: the TCP connection ended without a close frame; the other side saw 1006."""


class Ping(msgspec.Struct, frozen=True):
    """A ping or pong frame."""

    at: int
    t: int
    side: Side
    payload: bytes
    pong: bool = False


class Socket(msgspec.Struct, frozen=True):
    """One WebSocket connection that was accepted."""

    number: int
    """Among all accepted sockets of the timeline, in the order of their upgrades, from 0."""
    conn: int
    upgrade: Exchange
    client_id: str | None
    """The ``clientId`` that was asked for; None or ``""`` lets the server mint one."""
    sid: str | None
    """What the server called the client in its first ``status``."""
    messages: tuple[Message, ...] = ()
    pings: tuple[Ping, ...] = ()
    closing: Closing | None = None
    """None: still open when the recording ended."""

    @property
    def name(self) -> str:
        """The id under which the server knows this socket's client."""
        return self.sid or self.client_id or f"conn {self.conn}"

    @property
    def received(self) -> tuple[Message, ...]:
        """What the client got."""
        return tuple(m for m in self.messages if m.side is Side.SERVER)


SUCCESS: Final = "success"
ERROR: Final = "error"
INTERRUPTED: Final = "interrupted"
DELETED: Final = "deleted"


class RecordedPrompt(msgspec.Struct, frozen=True):
    """One prompt that the server accepted, or that frames tell of."""

    number: int
    """Among all prompts of the timeline, from 0."""
    prompt_id: str
    client_id: str | None = None
    submitted: int | None = None
    """Number of the exchange that posted it; None: before the recording, or not by its clients."""
    graph: dict[str, Any] = {}
    """``prompt`` of the POST body: {node_id: {class_type, inputs, ...}}; ``{}`` when not known."""
    extra_data: dict[str, Any] = {}
    queue_number: int | float | None = None
    frames: tuple[tuple[int, int], ...] = ()
    """(socket, place in its ``messages``) of everything that was said about it, in order."""
    started_at: int | None = None
    """Place of ``execution_start``."""
    terminal_at: int | None = None
    """Place of the frame that said how it ended."""
    left_at: int | None = None
    """Place of the null ``executing``: it has left the executor."""
    outcome: str = ""
    """``success``, ``error``, ``interrupted``, ``deleted`` (while pending), ``""``: not known."""
    cached: tuple[str, ...] = ()
    """Node ids of ``execution_cached``."""
    outputs: dict[str, Any] = {}
    """{node_id: ui output} of the ``executed`` frames and the recorded history."""
