"""the output of a node -> the files and the texts in it.

A node shows whatever it likes: keys of any name, most values lists (protocol.md section 8). A file
is an object whose ``filename`` is a text that is not empty; a text is a string. Both count where
they are the value of a key or an item of a list, however deep the lists nest. What is
in an object that is not a file does not count: a node may show a graph, and the names in a graph
are not outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

__all__ = [
    "FileEntry",
    "all_files_in",
    "change_files",
    "files_in",
    "items_in",
    "texts_in",
]


class FileEntry(msgspec.Struct, frozen=True, gc=False):
    """A file of the server, as ``/view`` takes it."""

    filename: str
    subfolder: str = ""
    """As the server wrote it; a Windows server writes backslashes."""
    type: str = "output"
    """The folder: ``output``, ``temp`` or ``input``."""

    @classmethod
    def of(cls, item: object) -> FileEntry | None:
        """Read one item of an output; None if it does not name a file.

        A ``subfolder`` or ``type`` that is missing or not a text is the server's default. Further
        keys do not matter.
        """
        if not isinstance(item, Mapping):
            return None
        filename = item.get("filename")
        if not isinstance(filename, str) or not filename:
            return None
        subfolder, kind = item.get("subfolder"), item.get("type")
        return cls(
            filename,
            subfolder if isinstance(subfolder, str) else "",
            kind if isinstance(kind, str) and kind else "output",
        )


def items_in(output: object) -> Iterator[tuple[str, Any]]:
    """What the output of one node holds: (key, item), with all lists taken apart, in order."""
    if not isinstance(output, Mapping):
        return
    for key, value in output.items():
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, list | tuple):
                waiting.extend(reversed(item))
            else:
                yield str(key), item


def files_in(output: object) -> Iterator[FileEntry]:
    """The files that the output of one node names, in order."""
    for _, item in items_in(output):
        if (file := FileEntry.of(item)) is not None:
            yield file


def texts_in(output: object) -> Iterator[str]:
    """The texts that the output of one node shows, in order."""
    return (item for _, item in items_in(output) if isinstance(item, str))


def all_files_in(outputs: object) -> Iterator[FileEntry]:
    """The files in the ``outputs`` of a history entry, which are outputs by node."""
    if isinstance(outputs, Mapping):
        for output in outputs.values():
            yield from files_in(output)


def change_files(
    output: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    """The output of a node with another object for each file; everything else stays."""
    return {key: _changed(value, change) for key, value in output.items()}


def _changed(value: Any, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    if isinstance(value, list | tuple):
        return [_changed(item, change) for item in value]
    return value if FileEntry.of(value) is None else change(value)
