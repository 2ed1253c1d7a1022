"""The time of a simulated server: the only place that keeps it."""

from __future__ import annotations

import msgspec

from fake_server.options import EPOCH_MS

__all__ = ["ServerTime"]


class ServerTime(msgspec.Struct):
    """Virtual time in microseconds, which begins at 0 and never goes back."""

    epoch_ms: int = EPOCH_MS
    """Unix time in ms at virtual time 0."""
    now: int = 0

    def reach(self, now: int) -> None:
        """It is this time now."""
        self.now = max(self.now, now)

    @property
    def unix_ms(self) -> int:
        """The server's clock, as Unix time in ms."""
        return self.epoch_ms + self.now // 1000
