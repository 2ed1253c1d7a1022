"""Strings in quotes that may be escaped: where they end, though the end comes in a later piece."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["END_OF_KEY", "QUOTE", "OpenValue", "ends_string", "slashes_before", "string_end"]

QUOTE: Final = re.compile(rb"(\\*)([\"'])")
END_OF_KEY: Final = b"-----END"
"""What ends a private key in PEM form."""
_VALUE_BYTES_MAX: Final = 16384
"""A longer value is blanked all the same, but no longer looked for elsewhere."""


def ends_string(slashes: int, level: int) -> bool:
    """Whether a quote behind so many backslashes ends a string whose own quotes have ``level``."""
    while level:
        if slashes % 2 == 0:
            return True  # the string around it ends
        slashes, level = (slashes - 1) // 2, (level - 1) // 2
    return slashes % 2 == 0


def string_end(data: bytes, at: int, quote: bytes, level: int) -> int | None:
    """Behind the closing quote of a string whose content begins at ``at``."""
    for match in QUOTE.finditer(data, at):
        if match[2] == quote and ends_string(len(match[1]), level):
            return match.end()
    return None


def slashes_before(data: bytes, at: int) -> int:
    """How many backslashes stand before a place."""
    count = 0
    while at > count and data[at - 1 - count] == 0x5C:
        count += 1
    return count


class OpenValue:
    """A secret whose end has not come yet: all that comes is blanked up to it."""

    def __init__(self, quote: bytes, level: int, begun: bytes) -> None:
        self._quote, self._level = quote, level
        self.begun = begun

    def end(self, piece: bytes) -> tuple[int, int] | None:
        """Where the secret ends in this piece, and where what follows begins; None: not in it."""
        if not self._quote:
            seam = self.begun[-len(END_OF_KEY) + 1 :]
            at = (seam + piece).find(END_OF_KEY)
            end = None if at < 0 else (max(0, at - len(seam)),) * 2
        else:
            slashes = slashes_before(self.begun, len(self.begun))
            stop = string_end(
                self.begun[len(self.begun) - slashes :] + piece, 0, self._quote, self._level
            )
            if stop is None:
                end = None
            else:
                stop -= slashes
                end = max(0, stop - 1 - self._level), stop
        content = piece if end is None else piece[: end[0]]
        keep = _VALUE_BYTES_MAX - len(self.begun)
        self.begun = self.begun + content[:keep] if keep > 0 else self.begun[-64:] + content[-64:]
        return end
