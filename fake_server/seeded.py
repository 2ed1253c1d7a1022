"""A seed -> ids, letters and numbers that look drawn by chance and are the same each time."""

from __future__ import annotations

from typing import Final

__all__ = ["SeededRandom"]

_MASK: Final = (1 << 64) - 1
# ComfyUI's own alphabet for the names of temporary files; it leaves out a few letters.
_TEMP_LETTERS: Final = "abcdefghijklmnopqrstupvxyz"


class SeededRandom:
    """SplitMix64: small, fast, the same on every platform and Python version."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """Begin (anew) with a seed."""
        self._state = seed & _MASK

    def bits64(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """A number from 0 up to, not including, ``bound``."""
        return self.bits64() % bound

    def uuid(self) -> str:
        """A version 4 UUID in the canonical lowercase form."""
        text = f"{self.bits64():016x}{self.bits64():016x}"
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def hex32(self) -> str:
        """32 hexadecimal digits, as the server mints a socket's id."""
        return self.uuid().replace("-", "")

    def temp_letters(self) -> str:
        """The five letters in the name of a temporary file."""
        return "".join(_TEMP_LETTERS[self.below(len(_TEMP_LETTERS))] for _ in range(5))
