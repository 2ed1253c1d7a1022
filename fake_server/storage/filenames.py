"""A filename_prefix -> subfolder, name and counter of the next file, as ComfyUI counts them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

__all__ = ["LeavesFolder", "SavePath", "fill_in", "next_counter", "save_path"]

_COUNTED: Final = re.compile(r"[0-9]+")


class LeavesFolder(Exception):
    """A prefix that points out of the output folder; the text is the server's own."""


class SavePath(msgspec.Struct, frozen=True):
    """Where a save node writes: ``subfolder/name_00001_.png`` with ``counter`` 1."""

    subfolder: str
    name: str
    counter: int

    def file(
        self, number: int, extension: str = "png", *, single: bool = False, bare: bool = False
    ) -> str:
        """The file name of the batch's image ``number``, counted from 0.

        ``single`` says that one file holds all of the batch; ``%batch_num%`` stays in its name.
        ``bare`` says that nothing stands behind the number.
        """
        name = self.name if single else self.name.replace("%batch_num%", str(number))
        return f"{name}_{self.counter + number:05}{'' if bare else '_'}.{extension}"


def fill_in(prefix: str, *, width: int, height: int, now_ms: int) -> str:
    """The prefix with ``%width%``, ``%year%`` and their like filled in (times in UTC)."""
    if "%" not in prefix:
        return prefix
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    words = {
        "width": str(width),
        "height": str(height),
        "year": str(now.year),
        "month": f"{now.month:02}",
        "day": f"{now.day:02}",
        "hour": f"{now.hour:02}",
        "minute": f"{now.minute:02}",
        "second": f"{now.second:02}",
    }
    for word, value in words.items():
        prefix = prefix.replace(f"%{word}%", value)
    return prefix


def save_path(prefix: str, *, root: str, counter: Callable[[str, str, int], int]) -> SavePath:
    """Take a filled-in prefix apart.

    Args:
        root: the output folder as the server would name it in an error.
        counter: (subfolder, name, length) -> the next number there; see ``next_counter``.

    Raises:
        LeavesFolder: the prefix points outside of ``root``.
    """
    path = posixpath.normpath(prefix.replace("\\", "/"))
    subfolder, name = posixpath.split(path)
    full = posixpath.normpath(posixpath.join(root, subfolder))
    if posixpath.commonpath((root, full)) != root:
        raise LeavesFolder(
            "**** ERROR: Saving image outside the output folder is not allowed."
            f"\n full_output_folder: {full}"
            f"\n         output_dir: {root}"
            f"\n         commonpath: {posixpath.commonpath((root, full))}"
        )
    # The server looks for as many letters as the prefix ends in as it was written: with "" or "a/"
    # it finds none of its own files.
    length = len(posixpath.basename(prefix))
    number = counter(subfolder, name, length)
    return SavePath(subfolder=subfolder, name=name, counter=number)


def next_counter(name: str, length: int, there: Iterable[str], *, before_dot: bool) -> int:
    """One more than the highest number that files ``name_<number>_...`` have.

    Args:
        length: how many letters of a file's name are compared with ``name``.
        there: the names of the files in the folder.
        before_dot: whether ``name_<number>.txt`` counts, too.
    """
    start = f"{name}_".lower()
    highest = 0
    for file in there:
        if file[: length + 1].lower() == start:
            rest = file[length + 1 :]
            rest = rest.split(".")[0] if before_dot else rest
            digits: Any = _COUNTED.fullmatch(rest.split("_")[0])
            highest = max(highest, int(digits[0]) if digits else 0)
    return highest + 1
