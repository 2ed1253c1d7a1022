"""How a server was started: what a person would give as options on its command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["EPOCH_MS", "EngineOptions"]

# 2026-01-01T00:00:00Z: virtual time begins here unless a test says otherwise.
EPOCH_MS: Final = 1_767_225_600_000


class EngineOptions(msgspec.Struct, frozen=True):
    """Options of the simulated server; None means: as the era has it."""

    epoch_ms: int = EPOCH_MS
    """Unix time in ms at virtual time 0."""
    cache: str | None = None
    """One of ``cache.CACHES``."""
    lru_size: int = 100
    """How many results ``lru`` keeps."""
    max_upload_size: int | float = 104_857_600
    """Bytes; also the limit of a request body."""
    feature_flags: Mapping[str, Any] = {}
    """What ``--feature-flag`` adds to the server's own."""
    history_delay_us: int = 0
    """How long after the terminal event a prompt stays out of the history."""
    base: str = "/ComfyUI"
    """The folder that holds input, output and temp in the texts of errors."""
