"""What a frame or a history entry says of its prompt's end, live or recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

__all__ = ["BLOCKED", "ENDINGS", "PromptEnding", "history_ending", "prompt_ending"]

PromptEnding = Literal["success", "error", "interrupted"]

ENDINGS: Final[Mapping[str, PromptEnding]] = {
    "execution_success": "success",
    "execution_error": "error",
    "execution_interrupted": "interrupted",
}
"""Event type -> what became of the prompt, but for an output that was blocked."""
BLOCKED: Final = "ExecutionBlocked"
"""The exception of an ``execution_error`` that ends nothing: an output was blocked, and the prompt
goes on (protocol.md section 2.2)."""


def prompt_ending(kind: object, data: Callable[[], Any]) -> PromptEnding | None:
    """What became of the prompt of a frame; None when it goes on.

    Args:
        kind: the frame's ``type``.
        data: gives the frame's ``data``; called for errors alone, since few frames are read.
    """
    ending = ENDINGS.get(kind) if isinstance(kind, str) else None
    if ending != "error":
        return ending
    told = data()
    is_blocked = isinstance(told, Mapping) and told.get("exception_type") == BLOCKED
    return None if is_blocked else ending


def history_ending(entry: Mapping[str, Any]) -> PromptEnding | None:
    """What became of the prompt of a history entry.

    None: the entry only proves that there was an end, as that of a server without ``status``.
    """
    status = entry.get("status")
    if not isinstance(status, Mapping):
        return None
    word, completed = status.get("status_str"), status.get("completed")
    if word == "success" or completed is True:
        return "success"
    rows = status.get("messages")
    rows = rows if isinstance(rows, (list, tuple)) else ()
    kinds = [row[0] for row in rows if isinstance(row, (list, tuple)) and len(row) > 1]
    if "execution_interrupted" in kinds:
        return "interrupted"
    return "error" if "execution_error" in kinds or word or completed is False else None
