"""The secrets that are known, and where they stand: found in one pass, however many there are.

Strategy: a secret of 15 bytes or more that stands anywhere in a text covers eight whole bytes that
begin at a multiple of eight, whichever they are; one of 7 to 14 bytes covers such a four. So a text
is read as a row of numbers, and a set says in one call which of them are out of a known secret:
a look-up for each eight (or four) bytes, in C, which costs the same for one secret and for a
thousand. Only where a number is found, the text is searched for the few secrets that have it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import quote, quote_plus

import msgspec

from comfyrec.cassette.redact.views import ESCAPES, Escape

__all__ = ["KnownSecrets"]

_LONG: Final = 8
_SHORT: Final = 4
_EIGHT: Final[Literal["Q"]] = "Q"
_FOUR: Final[Literal["I"]] = "I"
_DIGITS: Final = b"0123456789"
_PREFIX_BYTES: Final = 4
_TAIL_BYTES_MAX: Final = 4096
"""How much of a secret that the end of a piece cuts through is looked for."""


def _forms(value: bytes) -> Iterator[bytes]:
    """A secret as it may stand elsewhere, but for single letters that are escaped: those are found
    in views."""
    yield value
    yield from _in_base64(value)
    yield value.hex().encode()
    yield value.hex().upper().encode()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield msgspec.json.encode(text)[1:-1]
    yield quote(text, safe="").encode()
    yield quote_plus(text).encode()


def _in_base64(value: bytes) -> Iterator[bytes]:
    """What base64 makes of a secret inside a longer text: three ways, by what stands before it."""
    for before in range(3):
        encoded = binascii.b2a_base64(bytes(before) + value, newline=False)
        # Letters that also hold bits of what stands before or behind are left out.
        first = (before * 8 + 5) // 6
        last = (before + len(value)) * 8 // 6
        core = encoded[first:last]
        if len(core) >= 8:
            yield core
            yield core.translate(_URL_SAFE)


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class _Needles:
    """Byte strings that are looked for together."""

    def __init__(self) -> None:
        self._all: set[bytes] = set()
        self._tiny: list[bytes] = []
        self._by_eight: dict[int, set[bytes]] = {}
        self._by_four: dict[int, set[bytes]] = {}

    def add(self, needle: bytes) -> None:
        """Look for one more. One without a byte stands everywhere."""
        if needle in self._all:
            return
        self._all.add(needle)
        if len(needle) >= 2 * _LONG - 1:
            table, width = self._by_eight, _LONG
        elif len(needle) >= 2 * _SHORT - 1:
            table, width = self._by_four, _SHORT
        else:
            self._tiny.append(needle)
            return
        code = _EIGHT if width == _LONG else _FOUR
        for at in range(width):
            (number,) = memoryview(needle[at : at + width]).cast(code)  # in this machine's order
            table.setdefault(number, set()).add(needle)

    def candidates(self, data: bytes) -> set[bytes]:
        """Those that may stand in these bytes, and few others."""
        found = set(self._tiny)
        for table, width, code in (
            (self._by_eight, _LONG, _EIGHT),
            (self._by_four, _SHORT, _FOUR),
        ):
            if table and len(data) >= width:
                row = memoryview(data)[: len(data) // width * width].cast(code)
                for number in table.keys() & row:
                    found |= table[number]
        return found

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def has_tiny(self) -> bool:
        """Whether some are too short to be found by numbers."""
        return bool(self._tiny)


class KnownSecrets:
    """All secrets that a redactor has met or was given."""

    def __init__(self) -> None:
        self._values: dict[bytes, None] = {}
        self._needles = _Needles()
        self._skeletons = _Needles()
        self._prefixes: dict[bytes, set[bytes]] = {}
        self._letters: set[bytes] = set()
        self.longest = 0
        """Bytes of the longest form of any of them."""

    def add(self, value: bytes) -> bool:
        """Know one more; False if it was known already."""
        if value in self._values:
            return False
        self._values[value] = None
        self._letters.update(bytes((letter,)) for letter in value)
        for form in _forms(value):
            self._needles.add(form)
            self._skeletons.add(form.translate(None, _DIGITS))
            self._prefixes.setdefault(form[:_PREFIX_BYTES], set()).add(form)
            self.longest = max(self.longest, len(form))
        return True

    @property
    def values(self) -> tuple[bytes, ...]:
        """As they were added."""
        return tuple(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where they stand in these bytes, in any form."""
        found: list[tuple[int, int]] = []
        for needle in self._needles.candidates(data):
            at = data.find(needle)
            while at >= 0:
                found.append((at, at + len(needle)))
                at = data.find(needle, at + len(needle))
        return found

    def spans_escaped(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where they stand with some of their letters escaped: looked for around escapes only."""
        for escape in ESCAPES:
            for low, high in self._around(data, escape):
                view = escape.undone(data[low:high])
                for start, stop in self.spans(view.data):
                    first, last = view.back(start, stop)
                    yield low + first, low + last

    def _around(self, data: bytes, escape: Escape) -> Iterator[tuple[int, int]]:
        """Stretches of these bytes that hold escapes of letters that known secrets have."""
        reach = self.longest * escape.longest
        low = high = -1
        for match in escape.found_in(data):
            if escape.letter(match) not in self._letters:
                continue
            if match.start() > high:
                if high >= 0:
                    yield low, high
                low = max(0, match.start() - reach)
            high = min(len(data), match.end() + reach)
        if high >= 0:
            yield low, high

    def begun_at_end(self, data: bytes) -> int:
        """How many of the last bytes are the first ones of a known secret; 0 for none."""
        tail = data[-min(self.longest, _TAIL_BYTES_MAX) :]
        for at in range(len(tail) - _PREFIX_BYTES + 1):
            needles = self._prefixes.get(tail[at : at + _PREFIX_BYTES])
            if needles and any(needle.startswith(tail[at:]) for needle in needles):
                return len(tail) - at
        return 0

    def may_stand_in(self, skeleton: bytes) -> bool:
        """Whether one could stand in a text of which this is left without its digits."""
        if not self._values:
            return False
        return self._skeletons.has_tiny or bool(self._skeletons.candidates(skeleton))
