"""attempts that failed -> how long to wait for the next one."""

from __future__ import annotations

from typing import Final

__all__ = ["PAUSE_US_MAX", "PAUSE_US_MIN", "pause_us"]

PAUSE_US_MIN: Final = 250_000
PAUSE_US_MAX: Final = 10_000_000


def pause_us(attempts: int) -> int:
    """Doubles from a quarter of a second up to ten (A36: hundreds of attempts a second)."""
    return min(PAUSE_US_MIN << min(attempts, 16), PAUSE_US_MAX)
