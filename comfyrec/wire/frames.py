"""WebSocket frame headers and close payloads in their plainest form (RFC 6455 section 5)."""

from __future__ import annotations

__all__ = ["close_payload", "frame_head"]


def frame_head(opcode: int, size: int, *, masked: bool) -> bytes:
    """The header of a final, uncompressed frame; a mask is all zeros, which changes no byte."""
    bit = 0x80 if masked else 0
    if size < 126:
        length = bytes([bit | size])
    elif size < 1 << 16:
        length = bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bit | 127]) + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + (bytes(4) if masked else b"")


def close_payload(code: int, reason: str) -> bytes:
    """What a close frame carries; 123 bytes of reason at most, as a control frame can hold."""
    return code.to_bytes(2, "big") + reason.encode()[:123]
