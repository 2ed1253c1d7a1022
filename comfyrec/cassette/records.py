"""One struct per kind of record: what stands in a cassette, whatever its encoding.

A record is the truth of the wire at one moment. Decoded events are a view that is computed on
reading; whether something was replayed yet is run-time state and lives elsewhere.

Common fields: ``seq`` counts all records of a file from 0; ``t`` is absolute Unix time in integer
microseconds; ``conn`` numbers the accepted TCP connections of a file from 1 (0: none of them);
``side`` says who sent the bytes.
"""

from __future__ import annotations

import enum
from typing import Any, Final

import msgspec

FORMAT: Final = 1
"""Moves when a reader of the old format could misread the new one, not with releases."""


RECORD_BYTES_MAX: Final = 64 << 20
"""No encoded record is larger: bodies go in pieces, and the largest message that is kept whole
(``WsFrame.inflated``) is bounded below it. A longer length in a file is damage or malice."""


class Side(enum.IntEnum):
    """Who sent the bytes of a record."""

    CLIENT = 0
    SERVER = 1


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="kind"):
    """What all records share."""

    seq: int
    t: int


class Session(Record, tag=1, frozen=True, array_like=True):
    """A recording begins. The first record of a file; ``--append`` adds another one."""

    format: int = FORMAT
    min_reader: int = FORMAT
    tool: str = ""
    upstream: str = ""
    redacted: tuple[str, ...] = ()
    """Classes of redaction that were applied: secret, identity, content."""
    about: dict[str, Any] = {}
    """Free facts: ``comfyui_version``, ``scenario``, ``note``, ``launch_flags``, ..."""


class Opened(Record, tag=2, frozen=True, array_like=True):
    """A client connected (TCP)."""

    conn: int
    peer: str = ""


class Closed(Record, tag=3, frozen=True, array_like=True):
    """A side of a connection ended. ``how``: ``eof``, ``reset``, ``refused``, ``timeout``, ..."""

    conn: int
    side: Side
    how: str = "eof"
    why: str = ""


class HttpPart(Record, tag=4, frozen=True, array_like=True):
    """A piece of one HTTP/1.1 message; small messages are one part.

    The first part of a message has ``head``: the start line and the fields, through the blank line,
    byte for byte as sent. ``body`` has the transfer coding undone, the content coding not.
    """

    conn: int
    side: Side
    exchange: int
    """Number of the request on this connection, from 0; the answer carries the same number."""
    head: bytes = b""
    body: bytes = b""
    trailers: bytes = b""
    last: bool = True
    """False: the message goes on in a later part. A file may end before that part comes."""
    redacted: int = 0
    """How many secrets were blanked out in this part."""
    chunks: tuple[int, ...] = ()
    """Sizes of the chunks that begin in this part, when the body was sent chunked."""


class WsFrame(Record, tag=5, frozen=True, array_like=True):
    """One WebSocket frame, or a piece of a very large one.

    ``head`` is the frame header as sent (2 to 14 bytes: bits, opcode, length form, mask key), empty
    on the later pieces of a frame. ``payload`` is unmasked but otherwise as sent.
    """

    conn: int
    side: Side
    head: bytes
    payload: bytes
    last: bool = True
    """False: the payload of this frame goes on in the next piece."""
    inflated: bytes | None = None
    """On the final frame of a message that permessage-deflate compressed: the whole message."""
    redacted: int = 0
    """How many secrets were blanked out; then ``payload`` of a compressed frame is empty."""


class Raw(Record, tag=6, frozen=True, array_like=True):
    """Bytes that could not be parsed. They were relayed all the same."""

    conn: int
    side: Side
    data: bytes
    why: str = ""


class Note(Record, tag=7, frozen=True, array_like=True):
    """A remark about the recording: ``what`` is ``lost`` (``count`` records), ``comment``, ...

    ``about`` holds as JSON text what was learned of the server after the session had begun: facts
    for ``Session.about``.
    """

    conn: int
    what: str
    text: str = ""
    count: int = 0


class End(Record, tag=8, frozen=True, array_like=True):
    """A clean end of a session; a file without it was cut off."""

    records: int = 0


ABOUT: Final = "about"
"""``Note.what`` of facts for ``Session.about``."""


def facts_in(note: Note) -> dict[str, Any]:
    """The facts for ``Session.about`` in a note; none if it holds something else."""
    if note.what != ABOUT:
        return {}
    try:
        return msgspec.json.decode(note.text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


AnyRecord = Session | Opened | Closed | HttpPart | WsFrame | Raw | Note | End


_PAYLOAD_FIELD: Final[dict[type[Record], str]] = {
    HttpPart: "body",
    WsFrame: "payload",
    Raw: "data",
}


def payload_field(kind: type[Record]) -> str | None:
    """Which field of a kind of record is its payload, the bytes that make it large."""
    return _PAYLOAD_FIELD.get(kind)


def payload_of(record: AnyRecord) -> bytes:
    """The payload as a reader takes it: of a compressed message, the message; else empty."""
    if isinstance(record, WsFrame) and record.inflated is not None:
        return record.inflated
    field = _PAYLOAD_FIELD.get(type(record))
    payload: bytes = getattr(record, field) if field is not None else b""
    return payload
