"""What a frame says of its prompt's end: for all that follow prompts, live or recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

__all__ = ["BLOCKED", "ENDINGS", "PromptEnding", "prompt_ending"]

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
