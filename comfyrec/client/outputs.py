"""the outputs of a prompt -> the files and texts in them; a pattern and a number -> a file name.

Outputs are whatever nodes emit, ``{node_id: {kind: [items]}}``. A file is any object with a
``filename``, whatever its kind is called (images, gifs, video, audio, 3d, ...); flags like
``animated: [true]``, nulls and numbers are passed over (PROTOCOL.md section 8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from comfyrec.errors import UsageError

__all__ = ["OutputFile", "OutputText", "Pattern", "files", "texts", "to_save"]

_DEPTH_MAX = 4
"""Lists in lists: custom nodes nest once or twice; deeper is not looked into."""


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


def _leaves(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    for node_id, kinds in outputs.items():
        if isinstance(kinds, dict):
            for kind, value in kinds.items():
                for leaf in _flat(value, _DEPTH_MAX):
                    yield str(node_id), str(kind), leaf


def _flat(value: object, depth: int) -> Iterator[object]:
    if not isinstance(value, list):
        yield value
    elif depth:
        for item in value:
            yield from _flat(item, depth - 1)


def files(outputs: Mapping[str, Any]) -> tuple[OutputFile, ...]:
    """Every file of all kinds, in the order of the outputs."""
    return tuple(
        OutputFile(
            filename=leaf["filename"],
            subfolder=_text(leaf.get("subfolder")),
            type=_text(leaf.get("type")) or "output",
            node_id=node_id,
            kind=kind,
        )
        for node_id, kind, leaf in _leaves(outputs)
        if isinstance(leaf, dict) and isinstance(leaf.get("filename"), str) and leaf["filename"]
    )


def texts(outputs: Mapping[str, Any]) -> tuple[OutputText, ...]:
    """Every text of all kinds, in the order of the outputs."""
    return tuple(
        OutputText(leaf, node_id, kind)
        for node_id, kind, leaf in _leaves(outputs)
        if isinstance(leaf, str)
    )


def to_save(outputs: Mapping[str, Any]) -> tuple[OutputFile, ...]:
    """The files worth keeping: results; previews (``temp``) only when there is nothing else."""
    every = files(outputs)
    return tuple(f for f in every if f.type == "output") or every


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


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
            raise UsageError(f"--filepattern: {text!r} has to be a file name without a folder")
        if not _COUNTER.search(text):
            raise UsageError(
                f"--filepattern: {text!r} has no counter; put '###' or '%04d' where the number goes"
            )
        if offset < 0:
            raise UsageError(f"--index-offset: {offset} is below 0")
        return cls(text, offset)

    def name(self, index: int, suffix: str = "") -> str:
        """The name of the file ``index`` (from 0).

        ``suffix`` is what the file really is; it takes the place of the pattern's when they
        differ, because a video that is called ``.png`` opens nowhere.
        """
        number = index + self.offset
        named = _COUNTER.sub(lambda found: _digits(found, number), self.text)
        return _with_suffix(named, suffix)


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
