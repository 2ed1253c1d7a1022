"""Where things lie: the checkout, and the folder of captures that may lie beside it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ROOT", "SHARED"]

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
"""Raw captures and tools that are not part of the repository; tests that need them say so."""
