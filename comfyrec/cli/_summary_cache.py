"""What ``info`` found in a large cassette, kept so that it is not read again.

A gigabyte of frames takes a minute to read. What was found is kept in the user's cache folder, for
a file that is still the same by its name, size and times.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from comfyrec import __version__

__all__ = ["SIZE_BYTES_MIN", "keep", "kept"]

SIZE_BYTES_MIN: Final = 1 << 20
"""A smaller file is read in a few seconds, however well its frames were packed."""
FILES_MAX: Final = 100
_FORMAT: Final = 1


def _folder() -> Path:
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "comfyrec" / "info"


def _key(path: Path) -> str:
    there = path.stat()
    facts = (
        _FORMAT, __version__, str(path.resolve()), there.st_dev, there.st_ino, there.st_size,
        there.st_mtime_ns,
    )  # fmt: skip
    return blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def kept(path: Path) -> dict[str, Any] | None:
    """What was kept of this file as it is now; None: nothing, or the file is small."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        if path.stat().st_size >= SIZE_BYTES_MIN:
            found = json.loads((_folder() / _key(path)).read_bytes())
            return found if isinstance(found, dict) else None
    return None


def keep(path: Path, found: dict[str, Any]) -> None:
    """Keep this of a large file; where that cannot be done, it is read again."""
    with contextlib.suppress(OSError, RuntimeError):
        if path.stat().st_size < SIZE_BYTES_MIN:
            return
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = folder / _key(path)
        half = target.with_name(f"{target.name}.{os.getpid()}")
        # A summary quotes errors: for its owner only, as the recording is.
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(found, file)
        half.replace(target)
        _forget_the_oldest(folder)


def _forget_the_oldest(folder: Path) -> None:
    there = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)
    for one in there[:-FILES_MAX]:
        one.unlink(missing_ok=True)
