"""Traffic through the recorder, without sockets: what a cassette holds afterwards."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from comfyrec.cassette.content_coding import coding_of, decoded
from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.files.record import Writer, create_cassette
from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Note, Raw, Side, WsFrame
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.proxy.recorder import Recorder
from comfyrec.wire.tap import Tap

__all__ = ["everything", "everything_in", "recorded", "recording_of", "streams", "unredacted"]

SIDES = {"client": Side.CLIENT, "server": Side.SERVER}


def recording_of(
    path: Path, said: Iterable[tuple[str, bytes]], redactor: Redactor | None = None
) -> tuple[Writer, list[str]]:
    """Record this traffic, a connection for each request that begins a row of its own.

    Returns:
        The cassette, still open, and all sentences that a person was told.
    """
    clock = count(1_700_000_000_000_000)
    sentences: list[str] = []
    redactor = redactor or Redactor()
    writer = create_cassette(path, clock_us=lambda: next(clock), redactor=redactor)
    recorder = Recorder(writer, redactor, say=sentences.append)
    sentences += _play(recorder, said)
    return writer, sentences


def _play(recorder: Recorder, said: Iterable[tuple[str, bytes]]) -> list[str]:
    """Give the recorder what it would see; why anything was refused."""
    refusals: list[str] = []
    tap, conn = Tap(), recorder.new_conn()
    for side, data in said:
        if side == "client" and not tap.outstanding and data.split(b" ")[0] in (b"GET", b"POST"):
            tap, conn = Tap(), recorder.new_conn()
        step = tap.client(data) if side == "client" else tap.server(data)
        recorder.keep(conn, SIDES[side], step.seen)
        if tap.resumes:
            recorder.keep(conn, Side.CLIENT, tap.resume().seen)
        if step.stop is not None:
            refusals.append(step.stop.why)
            recorder.note(conn, "refused", step.stop.why)
    return refusals


def recorded(path: Path, said: Iterable[tuple[str, bytes]]) -> list[AnyRecord]:
    """The records of a recording of this traffic that was closed cleanly."""
    writer, _ = recording_of(path, said)
    writer.close()
    with open_cassette(path) as reader:
        return list(reader)


def streams(records: Iterable[AnyRecord]) -> dict[tuple[int, Side, str], bytes]:
    """What each side sent, of each kind, put together from all records."""
    found: dict[tuple[int, Side, str], bytes] = {}

    def add(record: HttpPart | WsFrame | Raw, kind: str, data: bytes) -> None:
        key = record.conn, record.side, kind
        found[key] = found.get(key, b"") + data

    for record in records:
        if isinstance(record, HttpPart):
            add(record, "head", record.head)
            add(record, "body", record.body)
            add(record, "trailers", record.trailers)
        elif isinstance(record, WsFrame):
            add(record, "payload", record.payload)
            add(record, "inflated", record.inflated or b"")
        elif isinstance(record, Raw):
            add(record, "raw", record.data)
    return found


def everything(path: Path) -> bytes:
    """All that anybody could find in a cassette: every byte of it, packed bodies unpacked."""
    with open_cassette(path) as reader:
        return path.read_bytes() + everything_in(list(reader))


def everything_in(records: list[AnyRecord]) -> bytes:
    """All that anybody could find in these records."""
    found = streams(records)
    parts = [*found.values()]
    for (conn, side, kind), body in found.items():
        if kind == "body":
            coding = coding_of(found.get((conn, side, "head"), b""))
            parts.append(decoded(body, coding) or b"")
            parts += [text for chunk in _PACKED.findall(body) for text in _inflated(chunk)]
    words = [r.text for r in records if isinstance(r, Note)]
    words += [r.why for r in records if isinstance(r, Closed | Raw)]
    return b"\n".join([*parts, *(word.encode() for word in words)])


_PACKED = re.compile(rb"(?s)(?:zTXt|iTXt).*?\0(x[\x01\x5e\x9c\xda].*)")


def _inflated(data: bytes) -> Iterator[bytes]:
    try:
        yield zlib.decompressobj().decompress(data)
    except zlib.error:
        return


class _NoRedactor:
    """Takes nothing out."""

    def take_unread(self) -> list[tuple[int, str]]:
        return []

    def record(self, record: AnyRecord) -> AnyRecord:
        return record

    def is_clean_text(self, payload: bytes) -> bool:
        return True


class _Memory:
    """A cassette in memory."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []
        self.next_seq = 1

    def write(self, records: list[AnyRecord]) -> None:
        self.records += records
        self.next_seq += len(records)

    def keep_place(self) -> str:
        return ""


def unredacted(said: Iterable[tuple[str, bytes]]) -> list[AnyRecord]:
    """The records of this traffic as it was."""
    memory = _Memory()
    _play(Recorder(memory, _NoRedactor(), say=lambda sentence: None), said)
    return memory.records
