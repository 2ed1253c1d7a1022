"""The header by which a simulated server says, beside ComfyUI's own text, how to go on."""

from __future__ import annotations

from typing import Final

__all__ = ["HINTED", "HINT_HEADER"]

HINT_HEADER: Final = "X-Fake-Hint"
"""On a refusal that a real server with more nodes would not have given."""
HINTED: Final = frozenset({400, 404, 405, 422})
"""Statuses of refusals that may carry one."""
