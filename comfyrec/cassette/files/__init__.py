"""Cassettes on disk: the only modules of this room that open a file."""

from __future__ import annotations

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
