"""WebSocket frames as a server or a recording writes them (RFC 6455 section 5): heads, close."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "close_payload",
    "frame",
    "frame_head",
    "message_frame",
    "payload_of",
]

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
REASON_MAX: Final = 123
"""Bytes of a reason: a control frame holds 125, two of which are the code."""
_FINAL, _COMPRESSED, _MASKED = 0x80, 0x40, 0x80


def frame_head(
    opcode: int, size: int, *, masked: bool = False, final: bool = True, compressed: bool = False
) -> bytes:
    """The header of a frame; a mask is all zeros, which changes no byte of the payload."""
    first = opcode | (_FINAL if final else 0) | (_COMPRESSED if compressed else 0)
    if masked:
        return _head(first, _MASKED, size) + bytes(4)
    return _head(first, 0, size)


# Made once for each size: a server sends the same sizes over and over.
@lru_cache(maxsize=4096)
def _head(first: int, mask: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, mask | size))
    if size < 1 << 16:
        return bytes((first, mask | 126)) + size.to_bytes(2, "big")
    return bytes((first, mask | 127)) + size.to_bytes(8, "big")


def frame(opcode: int, payload: bytes, *, final: bool = True, compressed: bool = False) -> bytes:
    """A frame as a server sends it, unmasked."""
    return frame_head(opcode, len(payload), final=final, compressed=compressed) + payload


def payload_of(message: str | bytes) -> tuple[int, bytes]:
    """A message as opcode and payload; lone surrogates, which servers do send, stay what they
    are."""
    if isinstance(message, str):
        return TEXT, message.encode("utf-8", "surrogatepass")
    return BINARY, message


def message_frame(message: str | bytes) -> bytes:
    """A message as one frame; this is what a server does most."""
    opcode, payload = payload_of(message)
    return _head(_FINAL | opcode, 0, len(payload)) + payload


def close_payload(code: int | None, reason: str = "") -> bytes:
    """What a close frame carries: nothing without a code; of a long reason what fits."""
    if code is None:
        return b""
    return code.to_bytes(2, "big") + reason.encode("utf-8", "replace")[:REASON_MAX]
