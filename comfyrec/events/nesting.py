"""How deeply JSON nests, found without reading it.

Python gives up at some depth, which differs by version, by parser and by how deep its stack stands
already (about 1,000 until 3.12, several thousand since). So whoever walks through what others
wrote sets a bound of his own, and asks here first.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NESTED_MAX", "nests_deeper"]

NESTED_MAX: Final = 100
"""Lists and objects in each other that we follow; workflows have a dozen at most."""
_ALL_BUT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))
_AS_LISTS: Final = bytes.maketrans(b"{}", b"[]")
# Strings first, so that brackets in them count for nothing.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def nests_deeper(text: str | bytes, most: int) -> bool:
    """Whether lists and objects nest more than ``most`` deep.

    Quick for what is short or has few brackets; else it takes a fraction of what parsing takes.
    What is not JSON is judged by its brackets outside of strings.
    """
    if len(text) <= 2 * most:
        return False
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    # Empty pairs vanish, and what they stood in is empty then: one level with each round.
    left = data.translate(_AS_LISTS, _ALL_BUT_BRACKETS)
    for _ in range(most):
        if not left:
            return False
        before, left = left, left.replace(b"[]", b"")
        if left == before:
            break  # brackets in strings, or no JSON
    return bool(left) and _counted(data, most)


def _counted(data: bytes, most: int) -> bool:
    depth = 0
    for token in _TOKEN.finditer(data):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > most:
                return True
        elif first in b"]}":
            depth -= 1
    return False
