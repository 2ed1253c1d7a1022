"""Whole files that take the place of others: all at once, or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial

from comfyrec.cassette.files.append import write_all
from comfyrec.cassette.files.lock import PRIVATE, lock_existing, try_lock
from comfyrec.cassette.files.open import unavailable
from comfyrec.errors import CassetteExists

__all__ = ["refuse_existing", "replacing", "write_file", "writing_file"]

_NAME_CHARACTERS_MAX = 200
"""Of the old name in the temporary one; file systems take 255 bytes."""


@contextlib.contextmanager
def replacing(path: str, *, only_copy: bool = False, held: bool = False) -> Iterator[int]:
    """A new file beside ``path`` that takes its place when all went well.

    Its name until then is random and was not there before, so nobody can have put a link in its
    way. It gets the mode of the file that it replaces, and where ``path`` is a link, the file that
    the link leads to is replaced. It is locked as the old one was.

    Args:
        only_copy: it is on the disk before it takes the place: what it replaces cannot be made
            again.
        held: the caller holds the lock on ``path`` already.

    Raises:
        CassetteInUse: a recorder is writing ``path``.
    """
    target = os.path.realpath(path)
    old = None if held else lock_existing(target)
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:_NAME_CHARACTERS_MAX]}.{os.urandom(8).hex()}.part")  # noqa: PTH118 - names as given
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(beside, flags, PRIVATE)
        try:
            try_lock(fd, path)
            yield fd
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(fd, stat.S_IMODE(os.stat(target).st_mode))  # noqa: PTH116 - a plain string
            if only_copy:
                os.fsync(fd)
            os.replace(beside, target)  # noqa: PTH105 - both names are plain strings
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)  # noqa: PTH108 - see above
            raise
        finally:
            os.close(fd)
    finally:
        if old is not None:
            os.close(old)


def refuse_existing(path: str, *, overwrite: bool) -> None:
    """Nothing that exists is overwritten unasked.

    Raises:
        CassetteExists: the file is there, is not empty, and ``overwrite`` is not given.
        Unavailable: it is a folder.
    """
    if os.path.isdir(path):  # noqa: PTH112 - names as given
        raise unavailable(path, IsADirectoryError(), "write")
    if not overwrite and os.path.exists(path) and os.path.getsize(path):  # noqa: PTH110, PTH202 - names as given
        raise CassetteExists(path)


def write_file(path: str | os.PathLike[str], data: bytes, *, overwrite: bool) -> None:
    """Write a whole file that is not a cassette, all at once.

    Raises:
        CassetteExists: the file is there and ``overwrite`` is not given.
        CassetteInUse: a recorder is writing it.
        Unavailable: it cannot be written.
    """
    with writing_file(path, overwrite=overwrite) as write:
        write(data)


@contextlib.contextmanager
def writing_file(
    path: str | os.PathLike[str], *, overwrite: bool
) -> Iterator[Callable[[bytes], object]]:
    """The same, piece by piece: what the block writes becomes the file when it has ended.

    Raises:
        CassetteExists: the file is there and ``overwrite`` is not given.
        CassetteInUse: a recorder is writing it.
        Unavailable: it cannot be written.
    """
    path = os.fspath(path)
    refuse_existing(path, overwrite=overwrite)
    try:
        with replacing(path) as fd:
            yield partial(write_all, fd)
    except OSError as error:
        raise unavailable(path, error, "write") from None
