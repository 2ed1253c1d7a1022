"""What travels on a link: values that know their size, texts and numbers that know themselves.

Nothing is computed. A value knows how wide, high and many it is, so that a saved picture has the
size that the graph asks for; a literal knows itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = [
    "ITEMS_MAX",
    "NOTHING",
    "RGB",
    "RGBA",
    "SIDE_MAX",
    "Blocker",
    "Given",
    "NodeFailed",
    "Value",
    "as_text",
    "batch",
    "is_link",
    "literal",
    "number",
    "picture",
    "previewed",
    "side",
    "value_of",
    "whole",
]

SIDE_MAX: Final = 16_384
ITEMS_MAX: Final = 4_096
"""Of one batch, one list, and the calls of one node; beyond that a graph only fills memory."""
_NUMBER_MAX: Final = 1e9
RGB: Final = 3
RGBA: Final = 4


def is_link(value: Any) -> bool:
    """Whether an input value is a link ``[node_id, slot]``, by the server's own rule."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
    )


class NodeFailed(Exception):
    """A node raises: the exception's qualified type name and its text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message


class Value(msgspec.Struct, frozen=True):
    """One item on a link. Latents are measured in the pixels they stand for."""

    width: int = 0
    height: int = 0
    batch: int = 1
    literal: Any = None
    """What it is, if it is a text or number (``known``)."""
    known: bool = False
    channels: int = 0
    """Of a picture, where there is no doubt about it."""

    def sized(self, width: float, height: float) -> Value:
        """The same in another size."""
        return msgspec.structs.replace(self, width=side(width), height=side(height))


class Blocker(msgspec.Struct, frozen=True):
    """Stops every node that receives it; one with a message is reported first."""

    message: str | None = None


Given = Mapping[str, Any]
"""The inputs of one call: ``Value`` items, literals as ``Value(literal=..., known=True)``."""
NOTHING: Final = Value()


def batch(count: float) -> int:
    """A number of pictures, within bounds."""
    return max(1, min(ITEMS_MAX, int(count)))


def side(length: float) -> int:
    """A width or height in whole pixels, within bounds."""
    return max(1, min(SIDE_MAX, round(length)))


def number(given: Given, name: str, default: float = 0) -> float:
    """A number that is known, and of a sane size; else the default."""
    value = literal(given, name)
    # A catalogue of somebody's own may set no bounds.
    return (
        value if isinstance(value, (int, float)) and -_NUMBER_MAX < value < _NUMBER_MAX else default
    )


def literal(given: Given, name: str) -> Any:
    """What an input is, if that is known; else None."""
    one = given.get(name)
    return one.literal if isinstance(one, Value) and one.known else None


def value_of(given: Given, name: str) -> Value:
    """The value of an input; ``NOTHING`` if it has none."""
    one = given.get(name)
    return one if isinstance(one, Value) else NOTHING


def picture(given: Given) -> Value:
    """The first input that has a size: what a filter works on."""
    return next((one for one in given.values() if isinstance(one, Value) and one.width), NOTHING)


def whole(values: Sequence[Any]) -> Any:
    """What a node that takes lists sees: the items of one input as one value."""
    pictures = [one for one in values if isinstance(one, Value) and one.width]
    if pictures:
        total = sum(one.batch for one in pictures)
        return msgspec.structs.replace(pictures[0], batch=batch(total))
    return values[0] if values else NOTHING


def as_text(one: Any) -> str:
    """An item as ``str()`` shows it; pictures and models have no text of their own."""
    if isinstance(one, Value) and (one.known or one.literal is not None):
        return one.literal if isinstance(one.literal, str) else str(one.literal)
    return "None" if one is None else "tensor(...)"


def previewed(one: Any, *, indent: int | None = 4, ascii_only: bool = True) -> str:
    """The text of PreviewAny: lists and objects as JSON."""
    if isinstance(one, Value) and one.known and isinstance(one.literal, (dict, list)):
        try:
            return json.dumps(one.literal, indent=indent, ensure_ascii=ascii_only)
        except RecursionError:
            return "source exists, but could not be serialized."
    return as_text(one)
