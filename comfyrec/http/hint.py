"""The header by which a simulated server says, beside ComfyUI's own text, how to go on."""

from __future__ import annotations

from typing import Final

__all__ = ["HINTED", "HINT_HEADER"]

HINT_HEADER: Final = "X-Fake-Hint"
"""On a refusal that a person can do something about who tries a workflow of their own."""
HINTED: Final = frozenset({400, 404, 405, 422, 500})
"""Statuses of refusals that may carry one."""
