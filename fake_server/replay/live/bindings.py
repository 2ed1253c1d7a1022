"""Which value of the live client stands for which recorded one, learned from what it sends.

A client draws new tags, seeds and names in every run. Where it sends one in the place of a recorded
one, both belong together from then on: in later prompts, in names of files, in URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from fake_server.replay.recorded.request_key import skeleton

__all__ = ["EQUAL", "UNLIKE", "Bindings", "paired_texts"]

# In a link inside a link a word may stand behind a percent-encoded character.
_WORD: Final = re.compile(r"%[0-9A-Fa-f]{2}|[0-9A-Za-z]+")
# As SaveImage names its files.
_NUMBERED: Final = re.compile(r"(?P<prefix>.+)_\d{5,}_?\.\w+")
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
        self._prefixes: dict[str, str] = {}
        self._prefixes_back: dict[str, str] = {}
        self._cores: dict[str, str] = {}
        self._cores_back: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], Any] = {}
        self._has_numbers = False
        """Whether one of them is another one than the recorded."""

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
            if name == "filename_prefix":
                # Where a prefix has a folder, the file is named by what comes behind.
                theirs, ours = recorded.rpartition("/")[2], live.rpartition("/")[2]
                self._prefixes[theirs], self._prefixes_back[ours] = ours, theirs
        elif not isinstance(recorded, str):
            self._numbers[name, repr(recorded)] = live
            self._has_numbers = self._has_numbers or repr(recorded) != repr(live)

    def live_number(self, name: str, recorded: float) -> float:
        """The number that a live client has in the place of a recorded one, as an input."""
        live = self._numbers.get((name, repr(recorded)), recorded)
        return live if _kind(live) in ("number", "negative number") else recorded

    def live(self, recorded: str) -> str:
        """The text that a live client has in the place of a recorded one."""
        return _replaced(recorded, self._words, self._cores, self._prefixes)

    def recorded(self, live: str) -> str:
        """The recorded text in whose place a live one stands."""
        return _replaced(live, self._back, self._cores_back, self._prefixes_back)

    @property
    def any(self) -> bool:
        """Whether anything differs from the recording."""
        return bool(self._words) or self._has_numbers

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


def paired_texts(recorded: Any, live: Any, depth: int = 8) -> Iterator[tuple[str, str]]:
    """(recorded text, live text) at the same places of two JSON values; nodes of graphs aside,
    whose inputs are paired by what they are."""
    if isinstance(recorded, str) and isinstance(live, str):
        yield recorded, live
    elif depth and isinstance(recorded, dict) and isinstance(live, dict):
        for name in recorded.keys() & live.keys():
            if not (isinstance(recorded[name], dict) and "class_type" in recorded[name]):
                yield from paired_texts(recorded[name], live[name], depth - 1)
    elif depth and isinstance(recorded, list) and isinstance(live, list):
        for one, other in zip(recorded, live, strict=False):
            yield from paired_texts(one, other, depth - 1)


def _is_core(word: str) -> bool:
    return len(word) >= CORE_MIN and any(c.isdigit() for c in word)


def _replaced(
    text: str, words: dict[str, str], cores: dict[str, str], prefixes: dict[str, str]
) -> str:
    if text in words:
        return words[text]
    file = _NUMBERED.fullmatch(text)
    if file is not None and file["prefix"] in prefixes:
        return prefixes[file["prefix"]] + text[file.end("prefix") :]
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
