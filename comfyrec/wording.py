"""How sentences are built: cut a text, list some of many, count things, name what is nearest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

__all__ = [
    "alternatives",
    "did_you_mean",
    "joined",
    "kinds_in_words",
    "nearest",
    "plural",
    "reason",
    "shortened",
    "shortened_list",
]

ELLIPSIS: Final = "..."
COMPARED_MAX: Final = 1_000
"""How many words are compared: a list of nodes may be long, and each comparison takes a while."""


def shortened(text: str, length_max: int) -> str:
    """The text, cut to at most ``length_max`` characters; ``...`` at the end says that it was."""
    if len(text) <= length_max:
        return text
    return text[: max(length_max - len(ELLIPSIS), 0)] + ELLIPSIS[: max(length_max, 0)]


def shortened_list(items: Sequence[str], items_max: int) -> list[str]:
    """The first ``items_max`` of the items; an ``and N more`` stands for the rest."""
    if len(items) <= items_max:
        return list(items)
    return [*items[:items_max], f"and {len(items) - items_max} more"]


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """A number of things: ``1 frame``, ``2 frames``, ``0 frames``; ``nouns`` if it is not that."""
    return f"{number} {noun}" if number == 1 else f"{number} {nouns or f'{noun}s'}"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that ``word`` was most likely meant to be; None: nothing is near.

    Only the first 1,000 words are compared.
    """
    found = get_close_matches(word, list(islice(words, COMPARED_MAX)), n=1)
    return found[0] if found else None


def did_you_mean(word: str, words: Iterable[str], *, otherwise: str) -> str:
    """``did you mean 'X'?``, or what else is said where nothing is near."""
    found = nearest(word, words)
    return otherwise if found is None else f"did you mean '{found}'?"


def joined(words: Sequence[str], last: str) -> str:
    """``a``, ``a or b``, ``a, b or c``; ``last`` stands before the last word."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def alternatives(word: str, words: Sequence[str]) -> str:
    """What to give in place of a wrong word: ``give a, b or c; did you mean 'a'?``"""
    found = nearest(word, words)
    meant = "" if found is None else f"; did you mean '{found}'?"
    return f"give {joined(words, 'or')}{meant}"


def kinds_in_words(sentence: str) -> str:
    """A sentence of msgspec with the kinds of JSON in words: ``Expected a text, got a list``."""
    return re.sub(r"`([\w |]+)`", lambda found: _kinds(found[1]), sentence)


def _kinds(names: str) -> str:
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | "))


_KINDS: Final = {
    "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip


def reason(error: BaseException) -> str:
    """Why something failed, in the system's words and without Python's: ``Connection refused``."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, OSError):
        error = inner
    words = str(error) or type(error).__name__
    if not isinstance(error, OSError):
        return words
    # asyncio puts words of its own in the place of the system's; name lookup and TLS have numbers
    # of their own, and errors of their own kinds.
    if error.errno and type(error).__module__ == "builtins":
        return os.strerror(error.errno)
    return error.strerror or words
