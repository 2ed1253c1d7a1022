"""Print the records of a cassette, one per line; with --json as JSON, decoded.

On a terminal, lines are cut to its width; in a pipe they are complete.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from comfyrec.cassette import text as jsonl
from comfyrec.cassette.files import Reader
from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Note,
    Opened,
    Raw,
    Session,
    Side,
    WsFrame,
    payload_of,
)
from comfyrec.cli import FINE
from comfyrec.cli._parser import add_cassette
from comfyrec.cli.terminal.drawing import on_a_terminal, terminal_width
from comfyrec.cli.terminal.filters import add_filters, selection_of
from comfyrec.cli.terminal.output import Lines, opened, safe, safe_json, said, tell
from comfyrec.errors import DecodeError, UsageError
from comfyrec.http.event_stream import StreamMessage, StreamReader
from comfyrec.show.selection import Selection
from comfyrec.show.stable import Stable
from comfyrec.timeline import Timeline
from comfyrec.timeline.assemble import FrameJoiner, field_of
from comfyrec.timeline.moments import moments_of
from comfyrec.wording import shortened

__all__ = ["JsonLines", "add_arguments", "as_line", "run"]

_ARROWS = {Side.CLIENT: "->", Side.SERVER: "<-"}
_FIN, _DEFLATED, _OPCODE = 0x80, 0x40, 0x0F
_TEXT, _BINARY, _CLOSE = 1, 2, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec cat``."""
    add_cassette(parser, several=True)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument(
        "--stable",
        action="store_true",
        help="without times, ids and ports, for git's textconv: a new recording of the same "
        "differs only where the server does",
    )
    add_filters(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print each file, as far as it can be read."""
    status = FINE
    selection = selection_of(arguments)
    if arguments.json and arguments.stable:
        raise UsageError("--stable is for lines of text; leave out --json or --stable")
    width = terminal_width() if on_a_terminal() and not arguments.json else None
    for name in arguments.files:
        with opened(name) as reader:
            lines, records = Lines(), _selected(reader, selection)
            shown = _json_lines(records) if arguments.json else _text_lines(records, reader)
            stable = Stable()
            for line in shown:
                if arguments.stable:
                    line = stable.line(line.decode("utf-8", "replace")).encode()
                lines.add(line if width is None else _cut(line, width))
            lines.flush()
            status = max(status, said(reader, "cat"))
    return status


def _text_lines(records: Iterable[AnyRecord], reader: Reader) -> Iterator[bytes]:
    start_us = reader.header.t
    streams = Streams()
    return (as_line(record, start_us, streams.said(record)) for record in records)


def _json_lines(records: Iterable[AnyRecord]) -> Iterator[bytes]:
    shape = JsonLines()
    for record in records:
        yield from shape.lines(record)
    yield from shape.rest()


def _cut(whole: bytes, width: int) -> bytes:
    return shortened(whole.decode("utf-8", "replace"), width).encode()


def _selected(reader: Reader, selection: Selection) -> Iterator[AnyRecord]:
    """The records of the moments that are asked for; pieces of a message belong to its last one."""
    if selection.everything:
        yield from reader
        return
    timeline = Timeline.build(reader)
    moments = moments_of(timeline)
    selection.check(moments, timeline)
    wanted = {moment.at for moment in selection.of(moments, timeline)}
    if not wanted:
        tell("cat", f"{reader.path}: {selection.nothing_fits(moments)}")
    pieces: dict[tuple[int, Side], list[AnyRecord]] = {}
    for at, record in enumerate(reader):
        held: list[AnyRecord] = []
        if isinstance(record, HttpPart | WsFrame):
            held = pieces.setdefault((record.conn, record.side), [])
            if not record.last or (isinstance(record, WsFrame) and not _final(record)):
                held.append(record)
                continue
        if at in wanted:
            yield from held
            yield record
        held.clear()


def _final(frame: WsFrame) -> bool:
    return not frame.head or bool(frame.head[0] & _FIN)


# --- for a person, and for git's textconv ----------------------------------------------------


class Streams:
    """The messages of answers that are a row of them: server-sent events, JSON in lines."""

    def __init__(self) -> None:
        self._readers: dict[tuple[int, int], StreamReader] = {}

    def said(self, record: AnyRecord) -> list[StreamMessage]:
        """Those that a record completes; to be asked of each record in order."""
        if not isinstance(record, HttpPart) or record.side is not Side.SERVER:
            return []
        key = record.conn, record.exchange
        if record.head and not field_of(record.head, "content-encoding"):
            reader = StreamReader.of(field_of(record.head, "content-type"))
            if reader is not None:
                self._readers[key] = reader
        own = self._readers.get(key)
        if record.last:
            self._readers.pop(key, None)
        return own.feed(record.body) if own is not None else []


def as_line(record: AnyRecord, start_us: int = 0, said: Sequence[StreamMessage] = ()) -> bytes:
    """One record as one line of text.

    Args:
        record: to be shown.
        start_us: where times count from, Unix microseconds.
        said: the messages that it completes; they are shown in place of its body.
    """
    what = _http(record, said) if isinstance(record, HttpPart) else _WHAT[type(record)](record)
    seconds = (record.t - start_us) / 1_000_000
    return f"{record.seq:>6} {seconds:>13.6f} {what}".encode("utf-8", "backslashreplace")


def _session(r: Session) -> str:
    redacted = ",".join(r.redacted) or "nothing"
    about = msgspec.json.encode(r.about).decode()
    words = f"session format {r.format} by {r.tool or '?'} upstream {r.upstream or '?'}"
    return safe(f"{words} at {r.t} us redacted {redacted} about {about}")


def _http(r: HttpPart, said: Sequence[StreamMessage] = ()) -> str:
    words = [f"#{r.conn} {_ARROWS[r.side]} http {r.exchange}"]
    if r.head:
        words.append(safe(" | ".join(_text(r.head).rstrip("\r\n").split("\r\n"))))
    if said:
        words += [safe(_message_in_words(message)) for message in said]
    elif r.body:
        words.append(_payload(r.body))
    if r.trailers:
        words.append(f"trailers {safe(_text(r.trailers))}")
    if not r.last:
        words.append("(goes on)")
    return " ".join(words + _redacted(r.redacted))


def _message_in_words(message: StreamMessage) -> str:
    known = f" id {message.id}" if message.id else ""
    return f"{'event ' if message.event else 'line'}{message.event}{known} {message.data}"


def _ws(r: WsFrame) -> str:
    bits = r.head[0] if r.head else 0
    name = jsonl.OPCODES.get(bits & _OPCODE, f"opcode {bits & _OPCODE}") if r.head else "more"
    words = [f"#{r.conn} {_ARROWS[r.side]} {name}"]
    if bits & _DEFLATED or r.inflated is not None:
        words.append("deflated")
    if not r.last or (r.head and not bits & _FIN):
        words.append("(goes on)")
    if bits & _OPCODE == _CLOSE and len(r.payload) >= 2:
        code = int.from_bytes(r.payload[:2], "big")
        return " ".join([*words, str(code), safe(_text(r.payload[2:]))]).rstrip()
    words.append(_binary_event(r))
    words.append(_payload(payload_of(r)))
    return " ".join(word for word in words + _redacted(r.redacted) if word)


def _binary_event(r: WsFrame) -> str:
    """What a binary message says about itself, before its bytes."""
    event = _event_of(r) if r.head and r.head[0] & _OPCODE == _BINARY else None
    if event is None:
        return ""
    facts = _facts(event)
    return safe(
        " ".join([facts.pop("type"), *(f"{name}={value}" for name, value in facts.items())])
    )


def _redacted(count: int) -> list[str]:
    return [f"({count} redacted)"] if count else []


def _payload(data: bytes) -> str:
    """Text as it is, other bytes by size and digest."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"<{len(data)} bytes {blake2b(data, digest_size=6).hexdigest()}>"
    return safe(text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


_WHAT: dict[type, Callable[..., str]] = {
    Session: _session,
    Opened: lambda r: safe(f"#{r.conn} opened {r.peer}"),
    Closed: lambda r: safe(f"#{r.conn} {_ARROWS[r.side]} closed {r.how} {r.why}").rstrip(),
    HttpPart: _http,
    WsFrame: _ws,
    Raw: lambda r: f"#{r.conn} {_ARROWS[r.side]} raw ({safe(r.why)}) {_payload(r.data)}",
    Note: lambda r: safe(f"#{r.conn} note {r.what} {r.count or ''} {r.text}"),
    End: lambda r: f"end after {r.records} records",
}


# --- for a machine ---------------------------------------------------------------------------


class JsonLines:
    """The records of one cassette, in their order, as JSON objects.

    A frame that came in several reads stands in as many records; it is one object, where its last
    one stands, and ``pieces`` counts them. Pieces without a last one come with the end of their
    connection, or of the file, each for itself.
    """

    def __init__(self) -> None:
        self._pieces: dict[tuple[int, Side], list[WsFrame]] = {}
        self._joiners: dict[tuple[int, Side], FrameJoiner] = {}
        self._streams = Streams()

    def lines(self, record: AnyRecord) -> Iterator[bytes]:
        """What is to be printed behind a record."""
        if isinstance(record, WsFrame):
            yield from self._frame(record)
            return
        if isinstance(record, Closed):
            yield from map(as_json, self._pieces.pop((record.conn, record.side), ()))
        elif isinstance(record, End):
            yield from self.rest()
        yield as_json(record, said=self._streams.said(record))

    def rest(self) -> Iterator[bytes]:
        """What is to be printed behind the last record."""
        for pieces in self._pieces.values():
            yield from map(as_json, pieces)
        self._pieces.clear()

    def _frame(self, record: WsFrame) -> Iterator[bytes]:
        key = record.conn, record.side
        pieces = self._pieces.setdefault(key, [])
        if record.head and pieces:  # the last one is missing
            yield from map(as_json, pieces)
            pieces.clear()
        pieces.append(record)
        if not record.last:
            return
        del self._pieces[key]
        whole = record if len(pieces) == 1 else _joined(pieces)
        message = self._joiners.setdefault(key, FrameJoiner()).more(whole)
        yield as_json(whole, message, pieces=len(pieces))


def _joined(pieces: list[WsFrame]) -> WsFrame:
    return msgspec.structs.replace(
        pieces[-1],
        head=pieces[0].head,
        payload=b"".join(piece.payload for piece in pieces),
        redacted=sum(piece.redacted for piece in pieces),
    )


def as_json(
    record: AnyRecord,
    message: tuple[int, bytes | None] | None = None,
    *,
    pieces: int = 1,
    said: Sequence[StreamMessage] = (),
) -> bytes:
    """One record as one JSON object: the members of the JSON Lines encoding, and what they say.

    ``event`` holds a websocket message, decoded; ``json`` a body that is JSON. They take the place
    of ``text``, ``inflated`` and ``body``, where nothing is lost by that.

    Args:
        record: it may be a frame joined of several.
        message: opcode and payload of the message that it completes.
        pieces: how many records it was joined of.
        said: the messages that a part of a body completes; ``events`` holds them.
    """
    line = jsonl.line_of(record)
    extra = b"" if pieces == 1 else b',"pieces":%d' % pieces
    if isinstance(record, WsFrame):
        if message is not None and message[1] is not None:
            extra += _event_member(record, line, message[0], message[1])
    elif said:
        extra = b',"events":[' + b",".join(map(_message_member, said)) + b"]"
    elif isinstance(record, HttpPart) and record.body:
        raw = _one_line_of_json(record.body)
        if raw is not None:
            line.body = ""
            extra = b',"json":' + raw
    return safe_json(msgspec.json.encode(line)[:-1] + extra + b"}")


def _message_member(message: StreamMessage) -> bytes:
    """Its type and id where it has them, and its data: JSON as it is, anything else as text."""
    facts = {"event": message.event, "id": message.id}
    told = [b'"%b":%b' % (name.encode(), msgspec.json.encode(v)) for name, v in facts.items() if v]
    data = message.data.encode()
    told.append(b'"data":' + (_one_line_of_json(data) or msgspec.json.encode(message.data)))
    return b"{" + b",".join(told) + b"}"


def _event_member(r: WsFrame, line: Any, opcode: int, message: bytes) -> bytes:
    if opcode == _TEXT:
        raw = _one_line_of_json(message)
        if raw is not None:
            if r.inflated is not None:
                line.inflated = None
            elif r.payload == message:
                line.text = ""
            return b',"event":' + raw
    event = _decoded(opcode, message)
    if event is None:
        return b""
    # Half a surrogate pair is a letter to Python, and to no one else.
    facts = {n: v.encode("utf-8", "replace").decode() for n, v in _facts(event).items()}
    return b',"event":' + msgspec.json.encode(facts)


def _one_line_of_json(data: bytes) -> bytes | None:
    """JSON that every parser takes, without line ends; None for anything else."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        if b"\n" in data or b"\r" in data:
            data = msgspec.json.format(data, indent=-1)
        data.decode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return data


def _event_of(r: WsFrame) -> object | None:
    """The event of a whole message; pieces of one are left as they are."""
    if (
        not r.last
        or not r.head
        or not r.head[0] & _FIN
        or (r.head[0] & _DEFLATED and r.inflated is None)
    ):
        return None
    return _decoded(r.head[0] & _OPCODE, payload_of(r))


def _decoded(opcode: int, message: bytes) -> object | None:
    if opcode not in (_TEXT, _BINARY):
        return None
    from comfyrec.events import decode_binary, decode_text  # many cassettes need neither

    try:
        return decode_text(message) if opcode == _TEXT else decode_binary(message)
    except DecodeError:
        return None


def _facts(event: object) -> dict[str, str]:
    """What can be said of an event in a few words: no pictures, no data."""
    facts = {"type": str(getattr(event, "type", type(event).__name__))}
    metadata = getattr(event, "metadata", None)
    for source, name in (
        (event, "node"),
        (metadata, "node_id"),
        (metadata, "prompt_id"),
        (event, "image_type"),
        (event, "text"),
        (event, "why"),
    ):
        value = getattr(source, name, None)
        if value is not None:
            facts[name] = str(value)
    return facts
