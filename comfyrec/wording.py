"""How sentences are built: cut a text, list some of many, count things, name what is nearest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

__all__ = ["did_you_mean", "nearest", "plural", "shortened", "shortened_list"]

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
