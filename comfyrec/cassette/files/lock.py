"""One writer at a time: the lock on a cassette, and where its file went meanwhile."""

from __future__ import annotations

import os
import stat
import sys

import msgspec

from comfyrec.cassette.files.open import unavailable
from comfyrec.errors import CassetteError, CassetteInUse, Unavailable

__all__ = [
    "Displaced",
    "displaced",
    "is_being_written",
    "lock_at_once",
    "lock_existing",
    "open_locked",
    "try_lock",
]

PRIVATE: int = 0o600
"""For its owner only, as ssh and browsers keep files of this kind: a recording holds prompts and
pictures, and may hold more than its rules know of."""


class Displaced(msgspec.Struct, frozen=True):
    """A file that is being written no longer stands under its name."""

    name_is_taken: bool
    """Another file has the name now."""
    moved_to: str = ""
    """The name that the file has now; empty when it has none, or none that the system tells."""
    removed: bool = False
    """It has no name at all any more: when it is closed, it is gone."""


def lock_at_once(fd: int) -> None:
    """Hold an open file until it is closed, without waiting for others who do.

    Raises:
        OSError: somebody else holds it.
    """
    # Only POSIX has it; whoever serves or tests elsewhere never comes here.
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(fd: int, path: str) -> None:
    """Hold a file against other writers until ``fd`` is closed.

    Raises:
        CassetteInUse: another writer holds it.
    """
    try:
        lock_at_once(fd)
    except OSError:
        raise CassetteInUse(path) from None


def open_locked(path: str) -> int:
    """Open for appending and lock; a file that was replaced meanwhile is opened again.

    Raises:
        CassetteInUse: another writer holds it.
        Unavailable: it cannot be written, or is a pipe, a device or a folder.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            fd = os.open(path, flags, PRIVATE)
        except OSError as error:
            raise unavailable(path, error, "write") from None
        try:
            _check_regular(path, os.fstat(fd).st_mode)
            try_lock(fd, path)
            if os.path.samestat(os.fstat(fd), os.stat(path)):  # noqa: PTH116 - a plain string
                return fd
        except FileNotFoundError:  # removed between the two calls
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def lock_existing(path: str) -> int | None:
    """Hold the file that is about to be replaced; None when there is none.

    Raises:
        CassetteInUse: a recorder is writing it.
        Unavailable: it is not a regular file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unavailable(path, error, "replace") from None
    try:
        _check_regular(path, os.fstat(fd).st_mode)
        try_lock(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_being_written(path: str) -> bool:
    """Whether a recorder holds the file."""
    try:
        held = lock_existing(path)
    except CassetteInUse:
        return True
    except CassetteError:
        return False
    if held is not None:
        os.close(held)
    return False


def _check_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        why = "is a folder" if stat.S_ISDIR(mode) else "is not a regular file"
        raise Unavailable(path, why, "name a file")


def displaced(path: str, fd: int) -> Displaced | None:
    """Whether the file that is open as ``fd`` still stands under ``path``; None when it does."""
    ours = os.fstat(fd)
    try:
        there = os.stat(path)  # noqa: PTH116 - a plain string
    except OSError:
        there = None
    if there is not None and os.path.samestat(ours, there):
        return None
    taken = there is not None
    if not ours.st_nlink:
        return Displaced(taken, removed=True)
    return Displaced(taken, _name_of(fd))


def _name_of(fd: int) -> str:
    if sys.platform != "linux":
        return ""
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - not a path of ours
        found = os.stat(name)  # noqa: PTH116 - as above
    except OSError:
        return ""
    return name if os.path.samestat(found, os.fstat(fd)) else ""
