"""What the journal shows in place of secrets, since journals end up in logs.

A module of its own so that a server starts without the rules of redaction.
"""

from __future__ import annotations

from comfyrec.cassette.redact.address import address_found
from comfyrec.cassette.redact.head import head_found
from comfyrec.cassette.redact.spans import Found
from comfyrec.cassette.redact.text import TextWalk

__all__ = ["body", "header", "target"]


def target(text: str) -> str:
    """A request's target with stars in place of secrets."""
    data = text.encode("utf-8", "replace")
    return _starred(data, address_found(data)).decode("utf-8", "replace")


def header(name: str, value: str) -> str:
    """A header's value with stars in place of secrets."""
    line = f"GET / HTTP/1.1\r\n{name}: {value}\r\n\r\n".encode("utf-8", "replace")
    shown = _starred(line, head_found(line)).decode("utf-8", "replace").splitlines()[1]
    return shown.partition(": ")[2]


def body(data: bytes) -> bytes:
    """A body with stars in place of secrets."""
    return _starred(data, TextWalk().feed(data))


def _starred(data: bytes, found: list[Found]) -> bytes:
    out = bytearray(data)
    for start, stop, _ in found:
        out[start:stop] = b"*" * (stop - start)
    return bytes(out)
