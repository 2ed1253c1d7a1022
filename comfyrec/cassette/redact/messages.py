"""Bodies and messages that are under way: what has come of them, as far as it is needed."""

from __future__ import annotations

import zlib
from collections import deque
from typing import Final

from comfyrec.cassette.content_coding import Decoder
from comfyrec.cassette.redact.walk import Walk

__all__ = ["CONTROL", "DEFLATED", "FIN", "CodedMessage", "DeflatedSide", "Message"]

FIN: Final = 0x80
DEFLATED: Final = 0x40
"""The bit of a frame header that begins a deflated message (RFC 7692)."""
CONTROL: Final = 0x08
_DEFLATE_WINDOW_BYTES: Final = 32 << 10
_INFLATED_BYTES_MAX: Final = 16 << 20


class Message:
    """A body or message that is under way: how it is walked, and the end of what has come."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.tail = b""
        self.is_final = True
        """Whether the frame that is under way is the last one of its message."""


class CodedMessage:
    """A body under a content coding that is under way."""

    def __init__(self, walk: Walk, coding: bytes) -> None:
        self.coding = coding
        self.decoder = Decoder(coding)
        self.message = Message(walk)
        self.spoiled = False


class DeflatedSide:
    """What one side has said in deflated messages, as far back as deflate looks."""

    def __init__(self, walk: Walk) -> None:
        self._recent: deque[bytes] = deque()
        self._size = 0
        self.is_open = False
        self.is_final = False
        self.spoiled = False
        self.message = Message(walk)
        self._inflater = zlib.decompressobj(-15)

    def begin(self, walk: Walk) -> None:
        """The first frame of a message."""
        window = b"".join(self._recent)[-_DEFLATE_WINDOW_BYTES:]
        self._inflater = zlib.decompressobj(-15, zdict=window)
        self.is_open, self.spoiled, self.message = True, False, Message(walk)

    def inflate(self, payload: bytes) -> bytes:
        """What a frame adds to the message; nothing where its bytes make no sense."""
        try:
            return self._inflater.decompress(payload, _INFLATED_BYTES_MAX)
        except zlib.error:
            return b""

    def end(self, message: bytes) -> None:
        """A whole message, which the next ones may refer to."""
        self.is_open = False
        self._recent.append(message[-_DEFLATE_WINDOW_BYTES:])
        self._size += len(self._recent[-1])
        while self._size - len(self._recent[0]) >= _DEFLATE_WINDOW_BYTES:
            self._size -= len(self._recent.popleft())
