"""A recorded id -> a new one of the same shape."""

from __future__ import annotations

import re
from typing import Final

from fake_server.replay.recorded.id_mapping import UNMISTAKABLE
from fake_server.seeded import SeededRandom

__all__ = ["another_number", "minted_like"]

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX: Final = re.compile(r"(?=.*\d)[0-9a-f]+")
# What says of which kind it is: ``job_``, ``asset-``.
_KIND: Final = re.compile(r"(?:[A-Za-z]+[_-])*")
_DIGITS: Final = "0123456789"
_HEX_DIGITS: Final = "0123456789abcdef"
_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
# Crockford's letters, so that a ULID stays one.
_UPPER: Final = "ABCDEFGHJKMNPQRSTVWXYZ"


def another_number(recorded: str, times: int) -> str:
    """An id that is a number, for who makes the thing once more; the first time it stays.

    Args:
        recorded: in decimal.
        times: how often it was made before. What is given is so far from what is recorded that it
            is nothing else: no size, no limit of a list.
    """
    return str(int(recorded) + times * UNMISTAKABLE)


def minted_like(recorded: str, chance: SeededRandom) -> str:
    """A new id: UUIDs and hexadecimal ones stay what they are, prefixes stay as they stand."""
    if _UUID.fullmatch(recorded):
        return chance.uuid()
    if len(recorded) == 32 and _HEX.fullmatch(recorded):
        return chance.hex32()
    match = _KIND.match(recorded)
    kind = match[0] if match else ""
    rest = recorded[len(kind) :]
    if _UUID.fullmatch(rest):
        return kind + chance.uuid()
    drawn = "".join(_drawn(rest, chance))
    return kind + drawn


def _drawn(rest: str, chance: SeededRandom) -> list[str]:
    is_hex = _HEX.fullmatch(rest) is not None
    pool = chance.hex32()
    while len(pool) < 2 * len(rest):
        pool += chance.hex32()
    drawn = []
    for at, char in enumerate(rest):
        number = int(pool[2 * at : 2 * at + 2], 16)
        row = (
            _HEX_DIGITS
            if is_hex
            else _DIGITS
            if char.isdigit()
            else _UPPER
            if char.isupper()
            else _LOWER
            if char.isalpha()
            else char
        )
        drawn.append(row[number % len(row)])
    return drawn
