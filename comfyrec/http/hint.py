"""The header by which a simulated server says, beside ComfyUI's own text, how to go on."""

from __future__ import annotations

from typing import Final

__all__ = ["HINTED", "HINT_HEADER"]

HINT_HEADER: Final = "X-Fake-Hint"
"""On a refusal, also of some of the outputs, that a person can do something about who tries a
workflow of their own; a field of the header for each hint."""
HINTED: Final = frozenset({200, 400, 404, 405, 422, 500})
"""Statuses that may carry one; 200 where some outputs are refused and the others run."""
