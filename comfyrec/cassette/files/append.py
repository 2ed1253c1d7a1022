"""Appending to a file: all parts of one chunk in one write, and what the page cache keeps of it."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from typing import Final

__all__ = ["Appender", "write_all", "write_parts"]

PARTS_AT_ONCE: Final = 1000
"""Below what any system takes in one ``writev`` (IOV_MAX)."""
_COPIED_BYTES_MAX: Final = 128 << 10
"""One buffer is quicker to write than many parts; a larger one costs fresh pages each time."""
_UNCACHED: Final = 0x80
"""RWF_DONTCACHE of Linux (include/uapi/linux/fs.h), which Python has no name for: the data is on
its way to the disk when the write returns, and its memory is free soon after."""
_UNCACHED_SINCE: Final = (6, 17)
"""Linux 6.14 has it, but it was withdrawn for faults and came back mended with 6.16."""
_SLOW_US: Final = 50_000
"""A disk that takes so long for one write is slower than the traffic; the page cache then takes
up what comes, as it does for a writer that does not ask."""


def write_all(fd: int, data: bytes) -> int:
    """Write until all is with the operating system, and say how much that was."""
    done = os.write(fd, data) if data else 0
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])
    return done


def write_parts(fd: int, parts: list[bytes]) -> int:
    """Write all parts in one call, and say how much that was; large ones are not copied for it."""
    size = sum(map(len, parts))
    if size < _COPIED_BYTES_MAX or len(parts) > PARTS_AT_ONCE:
        return write_all(fd, b"".join(parts))
    return _write_rest(fd, parts, os.writev(fd, parts))


def _write_rest(fd: int, parts: list[bytes], done: int) -> int:
    """Write what a write of these parts has left over, and say how much there is in all."""
    left = b"".join(parts)[done:] if done < sum(map(len, parts)) else b""
    return done + write_all(fd, left)


def _can_write_uncached() -> bool:
    if sys.platform != "linux":
        return False
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= _UNCACHED_SINCE


class Appender:
    """Appends to a file that is open for appending.

    Large writes leave nothing in the page cache: beside the recorder runs the server, whose models
    want that memory, and where the memory of a virtual machine goes back to its host, a page that
    is new costs several times the copy into it. Readers see the same file either way.
    """

    def __init__(self, fd: int, clock_us: Callable[[], int]) -> None:
        self._fd, self._clock_us = fd, clock_us
        self._uncached = _can_write_uncached()

    def write(self, parts: list[bytes]) -> int:
        """Write all parts, and say how much that was.

        Raises:
            OSError: not all could be written.
        """
        size = sum(map(len, parts))
        if size < _COPIED_BYTES_MAX:
            return write_all(self._fd, b"".join(parts))
        if self._uncached and len(parts) <= PARTS_AT_ONCE:
            return _write_rest(self._fd, parts, self._written_uncached(parts))
        return write_parts(self._fd, parts)

    def _written_uncached(self, parts: list[bytes]) -> int:
        """How much went out so; none where the file system does not take it."""
        before = self._clock_us()
        try:
            done = os.pwritev(self._fd, parts, 0, _UNCACHED)  # the offset is that of the end
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
            self._uncached = False
            return 0
        self._uncached = self._clock_us() - before < _SLOW_US
        return done
