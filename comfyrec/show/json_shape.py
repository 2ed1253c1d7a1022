"""JSON -> its shape: which fields there are and of which types, without what differs in each run.

Keys that are names of one's own (ids of prompts and nodes, kinds of outputs, classes) are ``*``, so
that two recordings of different workflows have comparable shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["Shape", "add_shape", "normalized", "words_in"]

Shape = dict[str, set[str]]
"""Path -> the JSON types that were seen there."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-f]{32}")
_LONG_NUMBER: Final = re.compile(r"\b\d{10,}\b")
_HOST_AND_PORT: Final = re.compile(
    r"\b(?:127\.0\.0\.1|localhost|\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):\d{2,5}\b"
)

# Under these keys stands what the client sent, or what nodes print: no matter of the server's.
_FOREIGN: Final = frozenset(
    {
        "prompt", "extra_data", "extra_pnginfo", "current_inputs", "current_outputs", "workflow",
        "extra_info", "traceback", "argv", "comfy_package_versions",
    }
)  # fmt: skip
# The keys below these are ids, or names that nodes choose.
_KEYED: Final = frozenset(
    {"output", "outputs", "nodes", "meta", "node_errors", "input", "preview_output"}
)
_WORDS: Final = frozenset({"type", "status", "status_str", "error", "state"})
"""Fields whose text is one of a few words of the server's."""


def normalized(text: str) -> str:
    """The text without ids, times and ports."""
    text = _HOST_AND_PORT.sub("{host}", _UUID.sub("{id}", text))
    return _LONG_NUMBER.sub("{number}", text)


def add_shape(shape: Shape, value: Any, path: str = "", *, keyed: bool = False) -> None:
    """Add what one value shows.

    Args:
        shape: is changed.
        value: JSON.
        path: where the value stands.
        keyed: whether its keys are names of one's own.
    """
    shape.setdefault(path, set()).add(_type(value))
    if isinstance(value, list):
        for item in value:
            add_shape(shape, item, f"{path}[]")
    elif isinstance(value, dict):
        own_names = keyed or any(map(_is_an_id, value))
        for key, item in value.items():
            if key in _FOREIGN and not keyed:
                shape.setdefault(_below(path, key), set()).add("any")
            else:
                below = _below(path, "*" if own_names else key)
                # An output is kind -> items for one node, node -> kind -> items for a prompt.
                deeper = key == "output" or (keyed and path.endswith(("outputs", "output")))
                add_shape(shape, item, below, keyed=key in _KEYED or (keyed and deeper))


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_an_id(key: str) -> bool:
    return _UUID.fullmatch(key) is not None or key.isdigit()


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def words_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, word) of the fields whose text is one of a few words of the server's."""
    if isinstance(value, list):
        for item in value:
            yield from words_in(item, f"{path}[]")
    elif isinstance(value, dict):
        for key, item in value.items():
            below = _below(path, "*" if _is_an_id(key) else key)
            if key in _WORDS and isinstance(item, str):
                yield below, normalized(item)
            elif key not in _FOREIGN and key not in _KEYED:
                yield from words_in(item, below)
