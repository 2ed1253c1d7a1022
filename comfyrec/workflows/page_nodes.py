"""Nodes that exist on the page only: notes, reroutes, primitives, switches of other nodes.

They are in no ``/object_info`` and in no prompt. The page, or the extension that brings such a
node, says so of it (``isVirtualNode``).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

__all__ = ["GET", "PRIMITIVE", "SET", "is_on_the_page_only"]

PRIMITIVE: Final = "PrimitiveNode"
SET: Final = "SetNode"
GET: Final = "GetNode"
# A reroute passes on what comes in at the same place.
_REROUTES: Final = frozenset({"Reroute", "Reroute (rgthree)"})
_NOTES: Final = frozenset({"Note", "MarkdownNote", "Label (rgthree)", "Bookmark (rgthree)"})
# They mute and bypass other nodes; what they are linked to, they do not take anything from.
_SWITCHES: Final = frozenset(
    f"{name} (rgthree)"
    for name in (
        "Fast Muter", "Fast Bypasser", "Fast Groups Muter", "Fast Groups Bypasser",
        "Fast Actions Button", "Mute / Bypass Relay", "Mute / Bypass Repeater", "Node Collector",
        "Random Unmuter",
    )
)  # fmt: skip
_ALL: Final = _REROUTES | _NOTES | _SWITCHES | {PRIMITIVE, SET, GET}


def is_on_the_page_only(kind: str, classes: Container[str]) -> bool:
    """Whether nodes of this type never run; not if the server has a class of that name."""
    return kind in _ALL and kind not in classes
