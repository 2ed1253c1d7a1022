"""The secrets that are known, and where they stand: found in one pass, however many there are.

Strategy: a secret of 15 bytes or more that stands anywhere in a text covers eight whole bytes that
begin at a multiple of eight, one of 23 bytes such eight at a multiple of sixteen, and so on; one of
7 to 14 bytes covers such a four. So a text is read as a row of numbers, and a set says in one call
which of them are out of a known secret: a look-up for each eight bytes or fewer, in C, which costs
the same for one secret and for a thousand. Only where a number is found, the text is searched for
the few secrets that have it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import quote, quote_plus

import msgspec

from comfyrec.cassette.redact.unescaped import ESCAPES, Escape, holds_text

__all__ = ["KnownSecrets", "forms_of"]

_LONG: Final = 8
_SHORT: Final = 4
_DIGITS: Final = b"0123456789"
_RUN_BYTES: Final = 16
"""By so many letters in a row a text is told between other bytes."""
_PREFIX_BYTES: Final = 4
_TAIL_BYTES_MAX: Final = 4096
"""How much of a secret that the end of a piece cuts through is looked for."""


def forms_of(value: bytes) -> Iterator[bytes]:
    """A secret as it may stand elsewhere, but for single letters that are escaped: those are found
    in views."""
    yield value
    yield from _in_base64(value)
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


class _Table:
    """Byte strings of a least length, found by the numbers that they cover."""

    def __init__(self, width: int, code: Literal["Q", "I"]) -> None:
        self._width, self._code = width, code
        self._needles: list[bytes] = []
        self._step = 0  # every so many numbers one is looked at
        self._by_number: dict[int, set[bytes]] = {}

    def takes(self, needle: bytes) -> bool:
        """Whether a byte string is long enough to cover a whole number wherever it begins."""
        return len(needle) >= 2 * self._width - 1

    def add(self, needle: bytes) -> None:
        """Look for one more."""
        self._needles.append(needle)
        step = (len(needle) + 1) // self._width - 1
        if not self._step or step < self._step:
            self._step = step
            self._by_number.clear()
            for known in self._needles:
                self._enter(known)
        else:
            self._enter(needle)

    def _enter(self, needle: bytes) -> None:
        for at in range(self._step * self._width):
            piece = memoryview(needle[at : at + self._width])
            (number,) = piece.cast(self._code)  # in this machine's order
            self._by_number.setdefault(number, set()).add(needle)

    def candidates(self, data: bytes) -> set[bytes]:
        """Those that may stand in these bytes, and few others."""
        if not self._step or len(data) < self._width:
            return set()
        whole = len(data) // self._width * self._width
        row = memoryview(data)[:whole].cast(self._code)[:: self._step]
        return set().union(*(self._by_number[number] for number in self._by_number.keys() & row))


class _Needles:
    """Byte strings that are looked for together."""

    def __init__(self) -> None:
        self._all: set[bytes] = set()
        self._tiny: list[bytes] = []
        self._tables = _Table(_LONG, "Q"), _Table(_SHORT, "I")

    def add(self, needle: bytes) -> None:
        """Look for one more. One without a byte stands everywhere."""
        if needle in self._all:
            return
        self._all.add(needle)
        table = next((table for table in self._tables if table.takes(needle)), None)
        if table is None:
            self._tiny.append(needle)
        else:
            table.add(needle)

    def candidates(self, data: bytes) -> set[bytes]:
        """Those that may stand in these bytes, and few others."""
        found = set(self._tiny)
        for table in self._tables:
            found |= table.candidates(data)
        return found

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
        self._shortest = _RUN_BYTES
        self._all_print = True
        self.longest = 0
        """Bytes of the longest form of any of them."""

    def add(self, value: bytes) -> bool:
        """Know one more; False if it was known already."""
        if value in self._values:
            return False
        self._values[value] = None
        self._letters.update(bytes((letter,)) for letter in value)
        for form in forms_of(value):
            self.add_form(form)
        return True

    def add_form(self, form: bytes) -> None:
        """Look for one more way of writing a secret that is known."""
        self._shortest = min(self._shortest, len(form))
        self._all_print = self._all_print and form.isascii() and form.decode().isprintable()
        self._needles.add(form)
        self._skeletons.add(form.translate(None, _DIGITS))
        self._prefixes.setdefault(form[:_PREFIX_BYTES], set()).add(form)
        self.longest = max(self.longest, len(form))

    @property
    def values(self) -> tuple[bytes, ...]:
        """As they were added."""
        return tuple(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def spans_in(self, data: bytes) -> list[tuple[int, int]]:
        """Where they stand in these bytes, in any form, escaped or not."""
        # Pixels and the like seldom hold so many letters in a row: that is told more quickly.
        if self._all_print and b"\0" in data and not holds_text(data, self._shortest):
            return []
        return [*self.spans(data), *self.spans_escaped(data)]

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
        for escape in ESCAPES if b" " in self._letters else ESCAPES[:-1]:
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
