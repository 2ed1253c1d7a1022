"""The cassettes that come with the package, found by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from comfyrec.errors import Unavailable
from comfyrec.wording import nearest

__all__ = ["bundled", "find_cassette"]

SUFFIXES: Final = (".crec", ".jsonl")


def _shelves() -> list[Path]:
    package = Path(__file__).parents[2]
    return [package / "_cassettes", package.parent / "cassettes"]


def _all_bundled() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for shelf in _shelves():
        if shelf.is_dir():
            for path in sorted(shelf.iterdir()):
                if path.suffix in SUFFIXES:
                    found.setdefault(path.stem, path)
    return found


def bundled() -> list[str]:
    """Names of the cassettes that come with the package."""
    return sorted(_all_bundled())


def find_cassette(name: str | os.PathLike[str]) -> str:
    """A path as it is, or the path of a bundled cassette by its name, with or without suffix.

    Raises:
        Unavailable: neither; the sentence names the nearest.
    """
    given = os.fspath(name)
    if Path(given).exists():
        return given
    if given == "-":
        why = "standard input is not read, since recordings are read more than once"
        raise Unavailable(given, why, "write it into a file, and give the name of that")
    shelf = _all_bundled()
    for path in shelf.values():
        if given in (path.stem, path.name):
            return str(path)
    raise Unavailable(given, "there is no such file", _meant(Path(given), shelf))


def _meant(given: Path, shelf: Iterable[str]) -> str:
    try:
        files = [each for each in given.parent.iterdir() if each.suffix in SUFFIXES]
    except OSError:
        files = []
    # By their stems: suffixes that they have in common do not make names alike.
    beside = {each.stem: each.name for each in files}
    near = nearest(given.stem, beside)
    if near is not None:
        return f"did you mean '{given.with_name(beside[near])}'?"
    near = nearest(given.stem, shelf)
    return f"did you mean the bundled '{near}'?" if near else "check the name"
