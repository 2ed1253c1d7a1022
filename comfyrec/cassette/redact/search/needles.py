"""Many byte strings looked for together, in texts and in pixels: which of them may stand there.

Strategy for texts: a string of 16 bytes that stands anywhere covers four whole bytes that begin at
a multiple of twelve, one of 32 bytes such four at a multiple of 28, and so on. So a text is read as
a row of numbers, a few bytes in each dozen, and a set says in one call which of them are out of a
string: a look-up in C that costs the same for one string and for thousands.

Strategy for pixels: strings are made of letters, and random bytes seldom are, so many in a row.
Five samples of each sixteen bytes tell that nearly always, and only where all of them are letters
the bytes between are looked at.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["LetterRuns", "Needles"]

_NUMBER: Final = struct.Struct("=I")
_WIDTH: Final = _NUMBER.size
"""Bytes of a number, in this machine's order."""
_SHORT_MIN: Final = 2 * _WIDTH - 1
_LONG_MIN: Final = 16
_FEW: Final = 12
"""So many short strings are found sooner one by one than by numbers at every fourth byte."""
_CHOICES_MAX: Final = 4
"""Of so many numbers of a long string the one is taken that is least likely in a text."""
_USUAL: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz _-=\n")
_SAMPLES: Final = 5
"""Of the letters in a row that are looked for."""
_STEP_MAX: Final = 8
_SPOTS_MAX: Final = 400
"""Random bytes have fewer such spots in a piece; where there are more, another way is quicker."""


class _Table:
    """Byte strings of a least length, found by the numbers that they cover."""

    def __init__(self) -> None:
        self._needles: list[bytes] = []
        self._stride = 0  # every so many numbers one is looked at
        self._by_number: dict[int, set[bytes]] = {}
        self._numbers: set[int] = set()  # the same numbers: a set is asked sooner than a dictionary

    def __len__(self) -> int:
        return len(self._needles)

    def add(self, needle: bytes) -> None:
        """Look for one more."""
        self._needles.append(needle)
        stride = (len(needle) + 1) // _WIDTH - 1
        if self._stride and stride >= self._stride:
            self._enter(needle)
            return
        self._stride = stride
        self._by_number.clear()
        self._numbers.clear()
        for known in self._needles:
            self._enter(known)

    def _enter(self, needle: bytes) -> None:
        """Enter a number for each place at which the string may begin, seen from a number that is
        looked at; of several the one that is seldom in a text."""
        period = self._stride * _WIDTH
        odd = [byte not in _USUAL for byte in needle[: _CHOICES_MAX * period + _WIDTH]]
        oddity = list(map(sum, zip(odd, odd[1:], odd[2:], odd[3:], strict=False)))
        for first in range(period):
            at = max(range(first, len(oddity), period), key=oddity.__getitem__)
            (number,) = _NUMBER.unpack_from(needle, at)
            self._numbers.add(number)
            self._by_number.setdefault(number, set()).add(needle)

    def candidates(self, data: bytes) -> set[bytes]:
        """Those that may stand in these bytes, and few others."""
        whole = len(data) // _WIDTH * _WIDTH
        if not self._stride or not whole:
            return set()
        row = memoryview(data)[:whole].cast("I")[:: self._stride]
        return set().union(*map(self._by_number.__getitem__, self._numbers.intersection(row)))

    def all(self) -> list[bytes]:
        """All of them."""
        return self._needles


class Needles:
    """Byte strings that are looked for together.

    Args:
        in_small_texts: they are looked for in texts in which it matters more to ask only once.
    """

    def __init__(self, *, in_small_texts: bool = False) -> None:
        self._long_min = _SHORT_MIN if in_small_texts else _LONG_MIN
        self._all: set[bytes] = set()
        self._tiny: list[bytes] = []
        self._short, self._long = _Table(), _Table()

    def add(self, needle: bytes) -> None:
        """Look for one more. One without a byte stands everywhere."""
        if needle in self._all:
            return
        self._all.add(needle)
        if len(needle) >= self._long_min:
            self._long.add(needle)
        elif len(needle) >= _SHORT_MIN:
            self._short.add(needle)
        else:
            self._tiny.append(needle)

    def candidates(self, data: bytes) -> set[bytes]:
        """Those that may stand in these bytes, and few others."""
        found = self._long.candidates(data)
        if len(self._short) > _FEW:
            found |= self._short.candidates(data)
        else:
            found.update(self._short.all())
        found.update(self._tiny)
        return found

    def any_in(self, data: bytes) -> bool:
        """Whether one of them stands in these bytes."""
        return any(needle in data for needle in self.candidates(data))


class LetterRuns:
    """Tells whether so many of some letters stand in a row; quick on bytes that are not a text.

    Args:
        letters: in any order.
        size: how many in a row, at least.
    """

    def __init__(self, letters: bytes, size: int) -> None:
        self._letters = letters
        self._marks = bytes(byte in letters for byte in range(256))
        self._size = size
        self._step = min(_STEP_MAX, size // _SAMPLES)

    def may_stand_in(self, data: bytes) -> bool:
        """False: there is no such row. True: there is one, or most of one."""
        found = self._by_samples(data) if self._size >= _LONG_MIN else None
        if found is None:
            return b"\1" * self._size in data.translate(self._marks)
        return found

    def _by_samples(self, data: bytes) -> bool | None:
        """The same by looking at few of the bytes; None where too many of those are letters."""
        step, marks, letters = self._step, self._marks, self._letters
        sampled = data[::step].translate(marks)
        all_letters, middle, stop = b"\1" * _SAMPLES, step + 1, (_SAMPLES - 1) * step
        at = sampled.find(all_letters)
        for _ in range(_SPOTS_MAX):
            if at < 0:
                return False
            first = at * step
            # Two bytes say of nearly all spots that there is nothing.
            if (
                marks[data[first + 1]]
                and marks[data[first + middle]]
                and not data[first : first + stop].translate(None, letters)
            ):
                return True
            at = sampled.find(all_letters, at + 1)
        return None

    def begun(self, data: bytes) -> int:
        """How many of the last bytes are such letters."""
        return len(data) - 1 - data.translate(self._marks).rfind(b"\0")
