"""Plain tuples <-> cassette, so that other file formats can be measured beside ours.

A row is ``(t, conn, kind, payload)`` with kind 1 for a text frame, 2 for a binary frame and 3 for
an HTTP body. It becomes the record that the proxy would have written, and ``write`` gives the
finished file that a clean close or ``comfyrec convert`` gives. ``t`` is carried in the unit it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache

from comfyrec.cassette import files
from comfyrec.cassette.records import AnyRecord, End, HttpPart, Session, Side, WsFrame
from comfyrec.wire.frames import frame_head

__all__ = ["list", "read", "write"]

Row = tuple[int, int, int, bytes]

_TEXT, _BINARY, _HTTP = 1, 2, 3
_BITS = {_TEXT: b"\x81", _BINARY: b"\x82"}
_KINDS = {bits: kind for kind, bits in _BITS.items()}


@lru_cache(maxsize=4096)
def _head(kind: int, size: int) -> bytes:
    return frame_head(kind, size)


def _records(rows: Iterable[Row]) -> Iterator[AnyRecord]:
    yield Session(0, 0)
    seq, t, server = 0, 0, Side.SERVER
    for seq, (t, conn, kind, payload) in enumerate(rows, 1):
        if kind == _HTTP:
            yield HttpPart(seq, t, conn, server, 0, b"", payload)
        else:
            yield WsFrame(seq, t, conn, server, _head(kind, len(payload)), payload)
    yield End(seq + 1, t, seq + 1)


def write(path: str | os.PathLike[str], records: Iterable[Row]) -> None:
    """Write rows into a finished cassette, packed unless the name says ``.jsonl``."""
    files.write_cassette(path, _records(records), overwrite=True)


def read(path: str | os.PathLike[str]) -> Iterator[Row]:
    """The rows of a cassette, streaming."""
    with files.open_cassette(path) as reader:
        for record in reader:
            if type(record) is WsFrame:
                yield record.t, record.conn, _KINDS[record.head[:1]], record.payload
            elif type(record) is HttpPart:
                yield record.t, record.conn, _HTTP, record.body


def list(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """(records, first t, last t) without reading payloads; the session's own two not counted."""
    found = files.list_cassette(path)
    return found.records - 2, found.t_first, found.t_last
