"""Which value of the live client stands for which recorded one, learned from what it sends.

A client draws new tags, seeds and names in every run. Where it sends one in the place of a recorded
one, both belong together from then on: in later prompts, in names of files, in URLs.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fake_server.replay.recorded.request_key import skeleton

__all__ = ["EQUAL", "UNLIKE", "Bindings"]

_WORD: Final = re.compile(r"[0-9A-Za-z]+")
CORE_MIN: Final = 6
"""A word that is replaced inside other words is at least so long, and holds a digit."""

EQUAL: Final = 0
NEW: Final = 1
"""Drawn anew: the same but for numbers and hexadecimal digits, or another number."""
CONFLICT: Final = 3
"""The same, but another value stood for it before."""
OTHER: Final = 10
"""Another text of the same form."""
UNLIKE: Final = 100
"""Another kind of value, or a path of another form."""


class Bindings:
    """Recorded value -> live value, both ways."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._back: dict[str, str] = {}
        self._cores: dict[str, str] = {}
        self._cores_back: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], Any] = {}

    def bind(self, recorded: str, live: str) -> None:
        """A live text stands where a recorded one stood."""
        if recorded == live or not recorded or not live:
            return
        self._words[recorded], self._back[live] = live, recorded
        ours, theirs = _WORD.findall(live), _WORD.findall(recorded)
        if len(ours) != len(theirs):
            return
        for one, other in zip(theirs, ours, strict=True):
            if one != other and _is_core(one) and _is_core(other):
                self._cores[one], self._cores_back[other] = other, one

    def bind_value(self, name: str, recorded: Any, live: Any) -> None:
        """The same for the value of an input."""
        if isinstance(recorded, str) and isinstance(live, str):
            self.bind(recorded, live)
        elif not isinstance(recorded, str):
            self._numbers[name, repr(recorded)] = live

    def live(self, recorded: str) -> str:
        """The text that a live client has in the place of a recorded one."""
        return _replaced(recorded, self._words, self._cores)

    def recorded(self, live: str) -> str:
        """The recorded text in whose place a live one stands."""
        return _replaced(live, self._back, self._cores_back)

    @property
    def any(self) -> bool:
        """Whether anything differs from the recording."""
        return bool(self._words)

    def distance(self, name: str, recorded: Any, live: Any) -> int:
        """How far a live value is from a recorded one: ``EQUAL`` to ``UNLIKE``."""
        if type(recorded) is type(live) and recorded == live:
            return EQUAL
        if isinstance(recorded, str) and isinstance(live, str):
            return self._distance_of_texts(recorded, live)
        known = self._numbers.get((name, repr(recorded)))
        if known is not None:
            return EQUAL if type(known) is type(live) and known == live else CONFLICT
        return NEW if _kind(recorded) == _kind(live) else UNLIKE

    def _distance_of_texts(self, recorded: str, live: str) -> int:
        if self.live(recorded) == live:
            return EQUAL
        if _form(recorded) != _form(live):
            return UNLIKE
        if skeleton(recorded) != skeleton(live):
            return OTHER
        return CONFLICT if recorded in self._words else NEW


def _is_core(word: str) -> bool:
    return len(word) >= CORE_MIN and any(c.isdigit() for c in word)


def _replaced(text: str, words: dict[str, str], cores: dict[str, str]) -> str:
    if text in words:
        return words[text]
    if not cores:
        return text
    return _WORD.sub(lambda match: cores.get(match[0], match[0]), text)


def _kind(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return type(value).__name__
    return "negative number" if value < 0 else "number"


def _form(text: str) -> tuple[int, bool, str]:
    """What paths and names are told apart by."""
    stem, dot, ending = text.rpartition(".")
    suffix = ending.lower() if dot and stem and ending.isalnum() and len(ending) <= 5 else ""
    return text.count("/"), ".." in text, suffix
