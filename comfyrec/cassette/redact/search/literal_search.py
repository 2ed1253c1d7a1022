"""Many short byte strings, found in one pass over a text.

Strategy: a pattern that tries many strings is slow where many letters can begin one. So each string
is looked for by its rarest letter (``token`` by its k), with what stands before that letter as a
look back; most letters of a text are then passed over by the pattern's own first step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

__all__ = ["Spots"]

_FROM_RARE_TO_COMMON: Final = b"$-_:/\\%.=0123456789zqxjkvwybpgfmducolhnisrate '\" "
"""Letters of code and prose together; which is rarer matters for speed only."""


class Spots:
    """A set of byte strings in lower case; its pattern is made when it is first asked."""

    def __init__(self, literals: Iterable[bytes]) -> None:
        self._given = tuple(literals)
        self._literals: list[tuple[bytes, int]] = [(b"", 0)]

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        by_letter: dict[bytes, list[tuple[bytes, int]]] = {}
        for literal in sorted(set(self._given), key=len, reverse=True):
            at = min(range(len(literal)), key=lambda n: _FROM_RARE_TO_COMMON.find(literal[n]))
            by_letter.setdefault(literal[at : at + 1], []).append((literal, at))
        return re.compile(b"|".join(map(self._branch, by_letter, by_letter.values())))

    def _branch(self, letter: bytes, literals: list[tuple[bytes, int]]) -> bytes:
        """Strings with one rarest letter. The empty group behind each says which it was."""
        ways = []
        for literal, at in literals:
            self._literals.append((literal, at))
            before = b"(?<=%b)" % re.escape(literal[: at + 1]) if at else b""
            ways.append(before + re.escape(literal[at + 1 :]) + b"()")
        return b"%b(?:%b)" % (re.escape(letter), b"|".join(ways))

    def any_in(self, lowered: bytes) -> bool:
        """Whether one of them stands in a text in lower case."""
        return self._pattern.search(lowered) is not None

    def all_in(self, lowered: bytes) -> Iterator[tuple[int, bytes]]:
        """Where they stand in a text in lower case, and which."""
        for match in self._pattern.finditer(lowered):
            literal, at = self._literals[match.lastindex or 0]
            yield match.start() - at, literal
