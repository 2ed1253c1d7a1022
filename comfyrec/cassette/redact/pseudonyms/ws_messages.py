"""One WebSocket message, whole -> the same without what it tells; of the same size."""

from __future__ import annotations

import re
from typing import Final

from comfyrec.cassette.redact.pseudonyms.json_values import Mode
from comfyrec.cassette.redact.pseudonyms.known_values import edited
from comfyrec.cassette.redact.pseudonyms.media import blob, is_media, media
from comfyrec.cassette.redact.pseudonyms.substitutes import Substitutes
from comfyrec.cassette.redact.pseudonyms.written import plain
from comfyrec.events.schema import KNOWN

__all__ = ["message_hidden"]

_BINARY_OPCODE: Final = 2
_TYPE: Final = re.compile(rb'\s*\{\s*"type"\s*:\s*"([^"\\]{1,80})"')
_KNOWN: Final = frozenset(kind.encode() for kind in KNOWN if kind != "notification")
"""Events whose members are known by their names; those of extensions may hold anything, and
a notification is a sentence for a person."""
_HEADER_BYTES: Final = 8
_TEXT_KIND, _DESCRIBED_KIND = 3, 4
_PICTURE_KINDS: Final = frozenset((1, 2))


def message_hidden(message: bytes, opcode: bytes, substitutes: Substitutes) -> bytes:
    """A text or a binary message, by its opcode."""
    if opcode and opcode[0] == _BINARY_OPCODE and len(message) >= 4:
        return _binary(message, substitutes)
    match = _TYPE.match(message)
    is_known = match is None or match[1] in _KNOWN
    mode = Mode.PLAIN if is_known else Mode.TOLD
    return edited(message, substitutes.edits(message, mode))


def _binary(message: bytes, substitutes: Substitutes) -> bytes:
    kind = int.from_bytes(message[:4], "big")
    if kind == _TEXT_KIND:
        return _text(message, substitutes)
    at = _HEADER_BYTES if kind in _PICTURE_KINDS else 4
    front = message[4:at]
    if kind == _DESCRIBED_KIND and len(message) >= _HEADER_BYTES:
        at = _HEADER_BYTES + int.from_bytes(message[4:8], "big")
        facts = message[_HEADER_BYTES:at]
        front = message[4:8] + edited(facts, substitutes.edits(facts))
    rest = message[at:]
    new = media(rest, substitutes) if is_media(rest) else blob(rest, substitutes)
    return message[:4] + front + new


def _text(message: bytes, substitutes: Substitutes) -> bytes:
    """A text about a node: the size of the node's id, the id, the text."""
    size = int.from_bytes(message[4:8], "big")
    at = _HEADER_BYTES + size if _HEADER_BYTES + size <= len(message) else 4
    rest = message[at:]
    if "text" not in substitutes.kinds or substitutes.known_only or rest.lstrip()[:1] == b"{":
        return message[:at] + edited(rest, substitutes.edits(rest, Mode.TOLD))
    written = plain(rest)
    substitutes.note("text", written.text, "text")
    return message[:at] + written.written(substitutes.text("text", written.text))
