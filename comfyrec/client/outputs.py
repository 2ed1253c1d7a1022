"""the outputs of a prompt -> the files and texts in them; a pattern and a number -> a file name.

Outputs are whatever nodes emit, ``{node_id: {kind: [items]}}``; ``comfyrec.events.outputs`` says
which items are files and which are texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from comfyrec.errors import UsageError
from comfyrec.events.outputs import FileEntry, items_in

__all__ = ["OutputFile", "OutputText", "Pattern", "files", "texts", "to_save"]


class OutputFile(msgspec.Struct, frozen=True):
    """A file that a node made; the first four fields are ``GET /view``'s."""

    filename: str
    subfolder: str
    """As the server wrote it; a Windows server writes backslashes."""
    type: str
    """``output``, ``temp`` or ``input``."""
    node_id: str
    kind: str
    """The key it stood under: ``images``, ``gifs``, ``audio``, ..."""

    @property
    def suffix(self) -> str:
        """``.png`` and the like, ``""`` for none."""
        stem, dot, end = self.filename.rpartition(".")
        return f".{end}" if dot and stem and re.fullmatch(r"[A-Za-z0-9]{1,8}", end) else ""


class OutputText(msgspec.Struct, frozen=True):
    """A text that a node showed."""

    text: str
    node_id: str
    kind: str


def files(outputs: Mapping[str, Any]) -> tuple[OutputFile, ...]:
    """Every file of all kinds, in the order of the outputs."""
    return tuple(
        OutputFile(file.filename, file.subfolder, file.type, str(node_id), kind)
        for node_id, output in outputs.items()
        for kind, item in items_in(output)
        if (file := FileEntry.of(item)) is not None
    )


def texts(outputs: Mapping[str, Any]) -> tuple[OutputText, ...]:
    """Every text of all kinds, in the order of the outputs."""
    return tuple(
        OutputText(item, str(node_id), kind)
        for node_id, output in outputs.items()
        for kind, item in items_in(output)
        if isinstance(item, str)
    )


def to_save(outputs: Mapping[str, Any]) -> tuple[OutputFile, ...]:
    """The files worth keeping: results; previews (``temp``) only when there is nothing else."""
    every = files(outputs)
    return tuple(f for f in every if f.type == "output") or every


# --- names -----------------------------------------------------------------------------------

_COUNTER = re.compile(r"#+|%0?(\d*)d")


class Pattern(msgspec.Struct, frozen=True):
    """How saved files are named: ``frame.###.png`` or ``shot_%04d.png``."""

    text: str = "frame.###.png"
    offset: int = 0
    """The number of the first file."""

    @classmethod
    def parse(cls, text: str, *, offset: int = 0) -> Pattern:
        """Check a pattern.

        Raises:
            UsageError: no counter, or a folder in it.
        """
        if "/" in text or "\\" in text or "\0" in text or text in ("", ".", ".."):
            raise UsageError(
                f"--filepattern: {text!r} must be a file name without a folder, such as "
                f"frame.###.png"
            )
        if not _COUNTER.search(text):
            raise UsageError(
                f"--filepattern: {text!r} has no counter; put '###' or '%04d' where the number goes"
            )
        if offset < 0:
            raise UsageError(f"--index-offset: {offset} is below 0; give 0 or more")
        return cls(text, offset)

    def name(self, index: int, suffix: str = "") -> str:
        """The name of the file ``index`` (from 0).

        ``suffix`` is what the file really is; it takes the place of the pattern's when they
        differ, because a video that is called ``.png`` opens nowhere.
        """
        number = index + self.offset
        named = _COUNTER.sub(lambda found: _digits(found, number), self.text)
        return _with_suffix(named, suffix)

    def number_of(self, name: str) -> int | None:
        """The number in the name of a file that was saved by this pattern, whatever its suffix."""
        found = _COUNTER.search(self.text)
        assert found is not None, "a pattern has a counter"
        before, after = self.text[: found.start()], self.text[found.end() :]
        behind = after.rpartition(".")[0] if "." in after else after
        fits = re.fullmatch(f"{re.escape(before)} *([0-9]+){re.escape(behind)}([.][^.]+)?", name)
        return None if fits is None else int(fits[1])


def _digits(found: re.Match[str], number: int) -> str:
    if found[0].startswith("#"):
        return f"{number:0{len(found[0])}d}"
    width = int(found[1] or 0)
    # A width of thousands is a slip of the hand, and no file system takes such a name.
    return f"{number:0{min(width, 64)}d}" if "%0" in found[0] else f"{number:{min(width, 64)}d}"


def _with_suffix(name: str, suffix: str) -> str:
    stem, dot, end = name.rpartition(".")
    written = f".{end}" if dot and stem and not end.isdecimal() else ""
    same = {written.lower(), suffix.lower()} <= {".jpg", ".jpeg"}
    if not suffix or same or written.lower() == suffix.lower():
        return name
    return (stem if written else name) + suffix
