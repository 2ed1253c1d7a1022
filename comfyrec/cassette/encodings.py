"""Bytes of a cassette -> the reader of its encoding, told apart by content."""

from __future__ import annotations

from typing import Final, Literal

from comfyrec.cassette import text
from comfyrec.cassette.packed import container
from comfyrec.cassette.packed.unpack import PackedReader
from comfyrec.cassette.reading import ByteSource
from comfyrec.cassette.text import TextReader
from comfyrec.errors import NotACassette

__all__ = ["START_BYTES", "Encoding", "InMemory", "reading_of"]

Encoding = Literal["packed", "jsonl"]

START_BYTES: Final = 64 << 10

_FOREIGN: Final = (
    (
        '"format": "comfy-wire-capture/',
        "is a raw capture; 'comfyrec convert' makes a cassette of it",
    ),
    ('"log"', "looks like HAR; 'comfyrec convert' makes a cassette of it"),
)


class InMemory:
    """A whole cassette in memory, as a ``ByteSource``."""

    def __init__(self, data: bytes, path: str) -> None:
        self.path = path
        self._data = memoryview(data)

    def size(self) -> int:
        """Bytes that there are."""
        return len(self._data)

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end."""
        return bytes(self._data[offset : offset + size])


def reading_of(
    source: ByteSource, *, beyond_holes: bool = False
) -> tuple[Encoding, PackedReader | TextReader]:
    """Tell the encoding by content and start a reader for it.

    Raises:
        NotACassette: another kind of file, or an empty one.
    """
    start = source.read_at(0, START_BYTES)
    if not start:
        raise NotACassette(source.path, "is empty; nothing was recorded into it")
    if container.is_packed(start):
        return "packed", PackedReader(source, beyond_holes=beyond_holes)
    if text.is_text(start):
        return "jsonl", TextReader(source, beyond_holes=beyond_holes)
    head = start[:400].decode("latin-1")
    for mark, why in _FOREIGN:
        if head.startswith("{") and mark in head:
            raise NotACassette(source.path, why)
    raise NotACassette(source.path, "is not a cassette; 'comfyrec record' and 'convert' write them")


def reading_on(source: ByteSource, since: tuple[int, int]) -> PackedReader | TextReader:
    """The reader for a file that is known to be a cassette, from a place on.

    Args:
        source: of the file, or of a part of it from its start.
        since: (offset, number of the record there); (0, 0) is its start.
    """
    start = since if since[0] else None
    if container.is_packed(source.read_at(0, START_BYTES)):
        return PackedReader(source, since=start)
    return TextReader(source, since=start)
