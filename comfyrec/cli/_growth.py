"""Waiting until a file has grown or another one has taken its place."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["Growth", "growth_of"]

LOOK_EVERY_S: Final = 0.25
"""Where a system does not tell of changes."""
GATHER_S: Final = 0.1
"""What comes so soon after a change is read with it. Otherwise each frame would wake who follows,
and writer and follower would spend more time on waking than on frames."""
_MODIFY, _MOVED_TO, _CREATE, _CLOSE_WRITE = 0x2, 0x80, 0x100, 0x8
_NONBLOCK, _CLOEXEC = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_CLOEXEC", 0)
_READ_BYTES: Final = 1 << 16


class Growth:
    """Tells when something has happened to a file. Made by ``growth_of``."""

    def __init__(self, path: Path, notified: int) -> None:
        self._path, self._notified = path, notified
        self._never = threading.Event()
        self._known = self._look()

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return found.st_ino, found.st_size

    def wait(self, limit_s: float) -> bool:
        """Wait until something has happened; False: nothing has, in that time."""
        if self._notified >= 0:
            told, _, _ = select.select([self._notified], [], [], limit_s)
            if told:
                self._never.wait(GATHER_S)
            return self._changed()
        waited = 0.0
        while waited < limit_s and self._look() == self._known:
            self._never.wait(LOOK_EVERY_S)
            waited += LOOK_EVERY_S
        return self._changed()

    async def wait_here(self, limit_s: float) -> bool:
        """The same on the running loop."""
        if self._notified < 0:
            await asyncio.sleep(min(limit_s, LOOK_EVERY_S))
            return self._changed()
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._notified, told.set)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), limit_s)
        finally:
            loop.remove_reader(self._notified)
        return self._changed()

    def _changed(self) -> bool:
        if self._notified >= 0:
            with contextlib.suppress(BlockingIOError):
                os.read(self._notified, _READ_BYTES)
        before, self._known = self._known, self._look()
        return self._known != before


@contextlib.contextmanager
def growth_of(path: Path) -> Iterator[Growth]:
    """What watches a file as long as the block runs; the system tells of changes where it can."""
    notified = _notifier(path) if sys.platform == "linux" else -1
    try:
        yield Growth(path, notified)
    finally:
        if notified >= 0:
            os.close(notified)


def _notifier(path: Path) -> int:
    """A file that can be read when something has changed (``inotify(7)``); -1: there is none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        handle: int = libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        if handle < 0:
            return -1
        # The folder too: at its end a recording may be replaced by its final form.
        of_file = libc.inotify_add_watch(handle, os.fsencode(path), _MODIFY | _CLOSE_WRITE)
        of_folder = libc.inotify_add_watch(
            handle, os.fsencode(path.resolve().parent), _MOVED_TO | _CREATE
        )
    except (OSError, AttributeError):
        return -1
    if of_file < 0 or of_folder < 0:
        os.close(handle)
        return -1
    return handle
