"""Bodies that are too large for the memory: they stand in a file, and are read in pieces.

Here is what quiet rooms do with one; ``comfyrec.cassette.files.body_file`` puts them into a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, Protocol

__all__ = [
    "STORED_MIN",
    "BodySink",
    "BodyStore",
    "SizeOnly",
    "StoredBody",
    "find_in",
    "is_stored_type",
    "pieces_of",
    "same_bytes",
    "sample_key",
]

STORED_MIN: Final = 1 << 20
"""Bodies below this are kept in memory, where they are quicker at hand."""
PIECE: Final = 1 << 18
_SAMPLE: Final = 1 << 12
_SAMPLES: Final = 32
# What nobody looks into as text. A large /object_info or a page's workflow stays in memory.
_TYPES: Final = ("image/", "video/", "audio/", "model/", "multipart/", "application/octet-stream",
    "application/zip", "application/x-")  # fmt: skip


class StoredBody(Protocol):
    """Bytes that stand in a file; they do not change."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from there on; fewer at the end."""
        ...

    def part(self, start: int, size: int) -> StoredBody:
        """A stretch of it, as a body of its own; nothing is copied."""
        ...


class BodySink(Protocol):
    """A body on its way into a file."""

    def write(self, data: bytes) -> None:
        """One more piece."""
        ...

    def done(self) -> StoredBody:
        """The body, whole."""
        ...


class BodyStore(Protocol):
    """Where large bodies are put."""

    def begin(self) -> BodySink:
        """A new body."""
        ...


class SizeOnly:
    """A store of which nothing is read again: of each body it keeps how large it was."""

    def __init__(self) -> None:
        self.size = 0

    def begin(self) -> SizeOnly:
        """A new body."""
        return SizeOnly()

    def write(self, data: bytes) -> None:
        """One more piece."""
        self.size += len(data)

    def done(self) -> SizeOnly:
        """The body, whole."""
        return self

    def read(self, start: int, size: int) -> bytes:
        """Nothing is there."""
        return b""

    def part(self, start: int, size: int) -> SizeOnly:
        """A stretch of it."""
        part = SizeOnly()
        part.size = max(min(size, self.size - start), 0)
        return part


def is_stored_type(content_type: str) -> bool:
    """Whether a body of that Content-Type may stand in a file; what is read as text may not."""
    return content_type.strip().lower().startswith(_TYPES)


def pieces_of(body: StoredBody) -> Iterator[bytes]:
    """All of it, in order."""
    for start in range(0, body.size, PIECE):
        yield body.read(start, PIECE)


def same_bytes(one: StoredBody, other: StoredBody) -> bool:
    """Whether both hold the same."""
    return one.size == other.size and all(
        ours == theirs for ours, theirs in zip(pieces_of(one), pieces_of(other), strict=True)
    )


def sample_key(body: StoredBody) -> bytes:
    """What differs for most bodies that differ, without reading all of them."""
    found = hashlib.blake2b(b"%d" % body.size, digest_size=16)
    step = max((body.size - _SAMPLE) // (_SAMPLES - 1), _SAMPLE)
    for start in (*range(0, body.size, step), max(body.size - _SAMPLE, 0)):
        found.update(body.read(start, _SAMPLE))
    return found.digest()


def find_in(body: StoredBody, wanted: bytes, start: int = 0) -> int:
    """Where the wanted bytes begin; -1 when they are not there."""
    overlap, behind = len(wanted) - 1, b""
    while start < body.size:
        piece = body.read(start, PIECE)
        at = (behind + piece).find(wanted)
        if at >= 0:
            return start - len(behind) + at
        start += len(piece)
        behind = (behind + piece)[-overlap:] if overlap else b""
    return -1
