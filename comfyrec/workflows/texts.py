"""Texts that the page changes when it sends a prompt: file name prefixes and dynamic prompts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

__all__ = ["NodeValues", "fill_in", "first_choices"]

NodeValues = Iterable[tuple[str, str, Callable[[], Mapping[str, Any]]]]
"""Of each node: its name for replacements, its title, and what gives the values of its widgets."""

_PLACE: Final = re.compile(r"%([^%]+)%")
_DATE_PARTS: Final = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
# What a file name cannot have; the page writes a line in its place.
_NOT_IN_NAMES: Final = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_COMMENTS: Final = re.compile(r"/\*[\s\S]*?\*/|//.*")


def fill_in(text: str, nodes: NodeValues, now: datetime | None) -> str:
    """Replace ``%Node.widget%`` by that widget's value and ``%date:FORMAT%`` by the time.

    Args:
        text: a file name prefix.
        nodes: all nodes of the workflow.
        now: None leaves dates as they are, so that a conversion can be repeated.
    """

    listed = list(nodes)

    def replaced(match: re.Match[str]) -> str:
        name, *rest = match[1].split(".")
        if not rest and name.startswith("date:") and now is not None:
            return _date(name.removeprefix("date:"), now)
        if len(rest) != 1:
            return match[0]
        value = _value(listed, name, rest[0])
        return match[0] if value is None else _NOT_IN_NAMES.sub("_", value)

    return _PLACE.sub(replaced, text)


def first_choices(text: str) -> str:
    """A dynamic prompt with its comments gone and the first option of each ``{a|b}`` taken.

    The page takes one at random; a conversion that can be repeated takes the first.
    """
    plain = _COMMENTS.sub("", text)
    chosen, _ = _chosen(plain, 0, inside=False)
    return re.sub(r"\\([{}|])", r"\1", chosen)


def _chosen(text: str, at: int, *, inside: bool) -> tuple[str, int]:
    """The text from a place on, to the end or to the brace that closes an option block."""
    taken: list[str] = []
    first: str | None = None
    while at < len(text):
        sign, at = text[at], at + 1
        if sign == "\\" and at < len(text):
            taken.append(sign + text[at])
            at += 1
        elif sign == "{":
            inner, at = _chosen(text, at, inside=True)
            taken.append(inner)
        elif inside and sign == "|":
            first = "".join(taken) if first is None else first
            taken = []
        elif inside and sign == "}":
            break
        else:
            taken.append(sign)
    return ("".join(taken) if first is None else first), at


def _value(nodes: NodeValues, name: str, widget: str) -> str | None:
    for which in (0, 1):
        for node in nodes:
            if node[which] == name:
                values = node[2]()
                return _as_text(values[widget]) if widget in values else None
    return None


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _date(pattern: str, now: datetime) -> str:
    parts = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def replaced(match: re.Match[str]) -> str:
        part = match[0]
        if part == "yy":
            return f"{now.year:04}"[2:]
        if part == "yyyy":
            return f"{now.year:04}"
        if part[0] in parts:
            return str(parts[part[0]]).zfill(len(part))
        return part

    return _DATE_PARTS.sub(replaced, pattern)
