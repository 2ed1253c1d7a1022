"""Cassettes on disk: the only modules of this room that open a file.

Names are imported when they are first used: who keeps a body in a file needs no recorder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfyrec.cassette.files.bundled_cassettes import bundled, find_cassette
    from comfyrec.cassette.files.lock import is_being_written
    from comfyrec.cassette.files.open import (
        Encoding,
        Reader,
        is_cassette,
        list_cassette,
        open_cassette,
        read_lines,
        read_start,
        same_file,
    )
    from comfyrec.cassette.files.record import Writer, create_cassette
    from comfyrec.cassette.files.replace import write_file, writing_file
    from comfyrec.cassette.files.tail import Tail
    from comfyrec.cassette.files.write import write_cassette

__all__ = [
    "Encoding",
    "Reader",
    "Tail",
    "Writer",
    "bundled",
    "create_cassette",
    "find_cassette",
    "is_being_written",
    "is_cassette",
    "list_cassette",
    "open_cassette",
    "read_lines",
    "read_start",
    "same_file",
    "write_cassette",
    "write_file",
    "writing_file",
]

_HOME = {
    "Encoding": "open",
    "Reader": "open",
    "Tail": "tail",
    "Writer": "record",
    "bundled": "bundled_cassettes",
    "create_cassette": "record",
    "find_cassette": "bundled_cassettes",
    "is_being_written": "lock",
    "is_cassette": "open",
    "list_cassette": "open",
    "open_cassette": "open",
    "read_lines": "open",
    "read_start": "open",
    "same_file": "open",
    "write_cassette": "write",
    "write_file": "replace",
    "writing_file": "replace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
