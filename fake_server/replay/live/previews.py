"""A preview as another client gets it: with or without the words about its node.

The same server sends binary type 1 to a client that announced nothing and type 4 to one that
announced ``supports_preview_metadata`` (protocol.md, sections 2.4 and 3). A recording holds one of
them; its live client may be of the other kind.
"""

from __future__ import annotations

import json
from typing import Any, Final

from comfyrec.http.request import loads_or_none

__all__ = ["announces", "as_described", "as_plain"]

_PLAIN: Final = (1).to_bytes(4, "big")
_DESCRIBED: Final = (4).to_bytes(4, "big")
_FORMATS: Final = {"image/jpeg": 1, "image/png": 2}
_TYPES: Final = {number: name for name, number in _FORMATS.items()}


def announces(message: str | bytes) -> bool | None:
    """Whether a client's flags ask for described previews; None when the message is not an object.

    Only the first message that is an object counts, whatever it says.
    """
    said = loads_or_none(message) if isinstance(message, str) else None
    if not isinstance(said, dict):
        return None
    data = said.get("data")
    flags = data if said.get("type") == "feature_flags" and isinstance(data, dict) else {}
    return flags.get("supports_preview_metadata") is True


def as_plain(data: bytes) -> bytes:
    """Type 4 -> type 1; anything else as it is."""
    size = int.from_bytes(data[4:8], "big")
    metadata = loads_or_none(data[8 : 8 + size]) if data[:4] == _DESCRIBED else None
    if not isinstance(metadata, dict) or metadata.get("image_type") not in _FORMATS:
        return data
    number = _FORMATS[metadata["image_type"]]
    return _PLAIN + number.to_bytes(4, "big") + data[8 + size :]


def as_described(data: bytes, *, node: str, prompt_id: str) -> bytes:
    """Type 1 -> type 4; anything else as it is."""
    kind = _TYPES.get(int.from_bytes(data[4:8], "big")) if data[:4] == _PLAIN else None
    if kind is None:
        return data
    metadata: dict[str, Any] = {
        "node_id": node,
        "prompt_id": prompt_id,
        "display_node_id": node,
        "parent_node_id": None,
        "real_node_id": node,
        "image_type": kind,
    }
    words = json.dumps(metadata).encode()
    return _DESCRIBED + len(words).to_bytes(4, "big") + words + data[8:]
