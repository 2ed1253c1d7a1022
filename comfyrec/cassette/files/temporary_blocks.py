"""Payloads and pictures of a page, in a file without a name that ends with the process."""

from __future__ import annotations

import os
import tempfile
from array import array

__all__ = ["TemporaryBlocks"]


class TemporaryBlocks:
    """Blocks and pictures by number, in the order in which they come."""

    def __init__(self) -> None:
        self._fd, name = tempfile.mkstemp(prefix="comfyrec-")
        os.unlink(name)  # noqa: PTH108 - a plain string
        self._size = 0
        self._blocks: array[int] = array("Q")
        self._pictures: list[tuple[str, int, int]] = []

    def _put(self, data: bytes) -> int:
        at = self._size
        os.pwrite(self._fd, data, at)
        self._size += len(data)
        return at

    def block(self, number: int, packed: bytes) -> None:
        """Keep a block; they come in the order of their numbers."""
        assert number == len(self._blocks) // 2, "blocks come in order"
        self._blocks.extend((self._put(packed), len(packed)))

    def picture(self, number: int, media_type: str, data: bytes) -> None:
        """Keep a picture; they come in the order of their numbers."""
        assert number == len(self._pictures), "pictures come in order"
        self._pictures.append((media_type, self._put(data), len(data)))

    def block_at(self, number: int) -> bytes | None:
        """A block; None: there is none."""
        if 2 * number >= len(self._blocks):
            return None
        at, size = self._blocks[2 * number : 2 * number + 2]
        return os.pread(self._fd, size, at)

    def picture_at(self, number: int) -> tuple[str, bytes] | None:
        """(media type, picture); None: there is none."""
        if number >= len(self._pictures):
            return None
        media_type, at, size = self._pictures[number]
        return media_type, os.pread(self._fd, size, at)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()
