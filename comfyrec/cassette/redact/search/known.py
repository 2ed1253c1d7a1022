"""The secrets that are known, and where they stand, in any way in which they may be written."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

from comfyrec.cassette.redact.search.needles import LetterRuns, Needles
from comfyrec.cassette.redact.search.unescaped import ESCAPES, LETTERS_OF_ESCAPES, Escape

__all__ = ["KnownSecrets", "forms_of"]

_DIGITS: Final = b"0123456789"
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
    yield quote(text).encode()
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


class KnownSecrets:
    """All secrets that a redactor has met or was given."""

    def __init__(self) -> None:
        self._values: dict[bytes, None] = {}
        self._needles = Needles()
        self._skeletons = Needles(in_small_texts=True)
        self._prefixes: dict[bytes, set[bytes]] = {}
        self._letters: set[bytes] = set()
        self._letters_of_forms: set[int] = set(LETTERS_OF_ESCAPES)
        self._shortest = 0
        self._made_runs: LetterRuns | None = None
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
        self._shortest = min(self._shortest or len(form), len(form))
        self._letters_of_forms.update(form)
        self._made_runs = None
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

    @property
    def _runs(self) -> LetterRuns:
        """Where so many letters stand in a row that one of them may be there, escaped or not."""
        if self._made_runs is None:
            self._made_runs = LetterRuns(bytes(self._letters_of_forms), self._shortest)
        return self._made_runs

    def spans_in(self, data: bytes) -> list[tuple[int, int]]:
        """Where they stand in these bytes, in any form, escaped or not."""
        # Pixels and the like seldom hold so many letters in a row: that is told more quickly.
        if b"\0" in data and not self._runs.may_stand_in(data):
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
        for at in range(len(tail) - self._runs.begun(tail), len(tail) - _PREFIX_BYTES + 1):
            needles = self._prefixes.get(tail[at : at + _PREFIX_BYTES])
            if needles and any(needle.startswith(tail[at:]) for needle in needles):
                return len(tail) - at
        return 0

    def may_stand_in(self, skeleton: bytes) -> bool:
        """Whether one could stand in a text of which this is left without its digits."""
        return self._skeletons.any_in(skeleton)
