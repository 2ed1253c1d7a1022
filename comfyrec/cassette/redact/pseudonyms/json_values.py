"""JSON, or what has JSON in it -> its texts, each with the name and the place that it has.

One pass over the signs of JSON, without building a value: what is found can be replaced where it
stands. Lines of JSON, server-sent events and logs with JSON in them are walked the same way; a text
that is cut off inside a string ends there.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Mode", "Value", "values_in"]


class Mode(enum.Enum):
    """What the objects around a value say of it."""

    PLAIN = "only what its name or its form tells"
    INPUTS = "an input of a node"
    TOLD = "what a workflow, an output or an event of an extension holds"
    SLOTS = "connectors of a node, whose names come from its class"
    CLASSES = "node classes as a server describes them"
    DEVICES = "devices of a server"
    ARGUMENTS = "a command line"
    USERS = "users of a server"
    NAMES = "a list of files"
    LOG = "lines of a log"
    TRACEBACK = "lines of a traceback"


class Value(NamedTuple):
    """A text in JSON, between its quotes, or a number that a name tells of."""

    start: int
    stop: int
    name: str
    """Of the member that it is, or is an item of; empty at the top."""
    mode: Mode
    is_key: bool = False
    is_number: bool = False


_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\],]', re.DOTALL)
_COLON: Final = re.compile(rb"\s*:")
_NUMBER: Final = re.compile(rb"\s*:\s*([1-9][0-9]{4,}(?:\.[0-9]+)?)(?=\s*[,}\]])")
_LINK: Final = re.compile(rb"\s*,\s*[0-9]{1,4}\s*\]")
_TIMES: Final = frozenset(("create_time", "createTime", "created_at", "createdAt"))
_DEPTH_MAX: Final = 500

# Objects (and lists, where it says so) under these names.
_OBJECTS: Final = {
    "inputs": Mode.INPUTS,
    "current_inputs": Mode.TOLD,
    "current_outputs": Mode.TOLD,
    "extra_pnginfo": Mode.TOLD,
    "workflow": Mode.TOLD,
    "outputs": Mode.TOLD,
    "output": Mode.TOLD,
    "ui": Mode.TOLD,
    "users": Mode.USERS,
    "properties": Mode.TOLD,
    "parameters": Mode.TOLD,
    "system": Mode.PLAIN,
}
_LISTS: Final = {
    "widgets_values": Mode.TOLD,
    "current_inputs": Mode.TOLD,
    "groups": Mode.TOLD,
    "argv": Mode.ARGUMENTS,
    "launch_flags": Mode.ARGUMENTS,
    "devices": Mode.DEVICES,
    "traceback": Mode.TRACEBACK,
    "entries": Mode.LOG,
}
_FIXED: Final = frozenset(
    (Mode.CLASSES, Mode.ARGUMENTS, Mode.DEVICES, Mode.LOG, Mode.TRACEBACK, Mode.NAMES)
)


def _mode_of(name: str, around: Mode, *, is_list: bool) -> Mode:
    """What an object or a list says of the values in it."""
    if around in _FIXED:
        return around
    if is_list:
        if name in ("inputs", "outputs") and around is not Mode.INPUTS:
            return Mode.SLOTS
        return _LISTS.get(name, around)
    if around is Mode.SLOTS:
        return around
    if name == "widgets_values":
        return Mode.TOLD
    return _OBJECTS.get(name, around)


def _is_cut(data: bytes, start: int, end: int) -> bool:
    """Whether the data ends inside a string, with a quote that belongs to it."""
    if end < len(data):
        return False
    content = data[start + 1 : end - 1]
    return (len(content) - len(content.rstrip(b"\\"))) % 2 == 1


def values_in(data: bytes, mode: Mode = Mode.PLAIN, name: str = "") -> Iterator[Value]:
    """All texts, in order.

    Args:
        data: the text.
        mode: what stands around it.
        name: that it has itself.
    """
    names, modes, objects = [name], [mode], [False]
    key, wants_key, first = name, False, False
    for token in _TOKEN.finditer(data):
        start, end = token.span()
        sign = data[start]
        if sign == 0x22:
            if end == start + 1 or data[end - 1] != 0x22 or _is_cut(data, start, end):
                yield Value(start + 1, end, key, modes[-1])
                return
            is_key = wants_key and _COLON.match(data, end) is not None
            if is_key:
                key = data[start + 1 : end - 1].decode("utf-8", "replace")
                wants_key = False
                yield Value(start + 1, end - 1, names[-1], modes[-1], is_key=True)
                number = _NUMBER.match(data, end) if key in _TIMES else None
                if number:
                    yield Value(*number.span(1), key, modes[-1], is_number=True)
            elif not (first and _LINK.match(data, end)):
                yield Value(start + 1, end - 1, key, modes[-1])
            first = False
        elif sign == 0x2C:
            wants_key = objects[-1]
            first = False
        elif sign in b"{[":
            is_list = sign == 0x5B
            if key == "options" and modes[-1] is Mode.CLASSES:
                key = names[-1]  # what can be chosen for an input, in newer descriptions
            if len(names) < _DEPTH_MAX:
                names.append(key)
                modes.append(_mode_of(key, modes[-1], is_list=is_list))
                objects.append(not is_list)
            wants_key, first = not is_list, is_list
        elif len(names) > 1:
            key = names.pop()
            modes.pop()
            objects.pop()
            wants_key = first = False
