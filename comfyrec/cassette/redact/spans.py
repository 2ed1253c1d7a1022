"""What a walk finds, and how it is blanked."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Found", "Learn", "blanked"]


class Learn(enum.IntEnum):
    """Whether a value that was taken out is looked for elsewhere too."""

    NEVER = 0
    IF_RANDOM = 1
    IF_DISTINCTIVE = 2
    """It stood where nothing but a credential stands."""


class Found(NamedTuple):
    """A stretch of bytes that is a secret."""

    start: int
    stop: int
    learn: Learn = Learn.IF_RANDOM


def blanked(data: bytes, found: Iterable[Found]) -> tuple[bytes, int]:
    """Put x in place of what was found; how many places were changed by that."""
    out, count = bytearray(data), 0
    for start, stop, _ in found:
        fill = b"x" * (stop - start)
        if stop > start and out[start:stop] != fill:
            out[start:stop] = fill
            count += 1
    return bytes(out), count
