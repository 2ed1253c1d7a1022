"""A command's processes, by ``/proc``: who they are, what memory they take, who is left.

A descendant is known by its parent as long as that one lives, by the mark that it inherited in its
environment, and by having been seen before. What none of these finds (it cleared its environment
and changed its parent within moments) becomes ours while ``adopting_orphans`` holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

__all__ = ["MARK", "ProcessTree", "adopting_orphans", "children_of"]

MARK: Final = "COMFYREC_CHECK_MARK"
"""The name of an environment variable that all processes of one command inherit."""
SEARCH_EVERY_S: Final = 0.25
"""Looking through all processes of a machine takes a while."""
_PROC: Final = "/proc"
_PIECE_BYTES: Final = 65_536
"""The kernel gives as much of a file there as is asked for; less is the end."""
_SET_CHILD_SUBREAPER: Final = 36
_GET_CHILD_SUBREAPER: Final = 37
"""Numbers of ``prctl(2)``."""


class _Born(NamedTuple):
    """A process: ids are used again, but not together with the time of the start."""

    pid: int
    start: int
    """In ticks since the machine's start."""


class ProcessTree:
    """A process and its descendants; ``look`` every now and then while it runs."""

    def __init__(self, pid: int, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        root = _born(pid)
        self._known = set() if root is None else {root}
        self._since = 0 if root is None else root.start
        self._searched_s = float("-inf")
        self.memory: list[tuple[float, int]] = []
        """The peak so far, (seconds, bytes) whenever it rose; empty without ``/proc``."""

    def look(self, now_s: float) -> None:
        """Find new descendants, if that is due, and measure the memory that all have taken."""
        if now_s - self._searched_s >= SEARCH_EVERY_S:
            self._searched_s = now_s
            self.find()
        size = sum(_peak_bytes(born.pid) for born in self._known)
        if size > (self.memory[-1][1] if self.memory else 0):
            self.memory.append((now_s, size))

    def kill(self) -> None:
        """End all of it that is left."""
        table = self.find()
        alive = {born.pid for born in self._known if born in table}
        for pid in {*alive, *self._marked(table)}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def find(self) -> Mapping[_Born, int]:
        """Find new descendants among all processes there are, each with its parent's number."""
        table = _processes()
        self._known = {born for born in self._known if born in table}
        fresh = set(self._known)
        while fresh:
            pids = {born.pid for born in fresh}
            fresh = {born for born, parent in table.items() if parent in pids} - self._known
            self._known |= fresh
        return table

    def _marked(self, table: Iterable[_Born]) -> Iterator[int]:
        """Processes that inherited the mark; none of them is older than who bears it first."""
        for born in table:
            if born.start >= self._since and self._mark in _read("environ", born.pid).split(b"\0"):
                yield born.pid


def _processes() -> Mapping[_Born, int]:
    """All processes there are, each with its parent's number."""
    found = {}
    names: Sequence[str] = ()
    with contextlib.suppress(FileNotFoundError):
        names = os.listdir(_PROC)  # noqa: PTH208  # names are all that is wanted of hundreds
    for name in names:
        if name.isdigit() and (stat := _stat(int(name))):
            found[_Born(int(name), int(stat[19]))] = int(stat[1])
    return found


def _born(pid: int) -> _Born | None:
    stat = _stat(pid)
    return _Born(pid, int(stat[19])) if stat else None


def _stat(pid: int) -> list[bytes]:
    """The fields of ``/proc/PID/stat`` from the state on; empty where it has ended."""
    return _read("stat", pid).rpartition(b")")[2].split()


def _peak_bytes(pid: int) -> int:
    """What a process had in memory at most; 0 if it has ended, or without ``/proc``."""
    _, found, rest = _read("status", pid).partition(b"VmHWM:")
    return int(rest.split(None, 1)[0]) * 1024 if found else 0


def _read(name: str, pid: int) -> bytes:
    """A file of ``/proc/PID``; empty where the process has ended, or is another user's.

    Hundreds are read for each command, so without the layers of ``open``.
    """
    try:
        file = os.open(f"{_PROC}/{pid}/{name}", os.O_RDONLY)
    except OSError:
        return b""
    pieces = [b""]
    try:
        while len(pieces) == 1 or len(pieces[-1]) == _PIECE_BYTES:
            pieces.append(os.read(file, _PIECE_BYTES))
    except OSError:  # it ended between the two calls
        return b""
    finally:
        os.close(file)
    return b"".join(pieces)


# --- orphans ---------------------------------------------------------------------------------


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Meanwhile, a descendant whose parent ends becomes our child; none of them outlives the block.

    On Linux only; elsewhere nothing happens. Meant for a process that starts no other children.
    """
    before, known = _adopts(), set(children_of(os.getpid()))
    _adopt(True)
    try:
        yield
    finally:
        for pid in set(children_of(os.getpid())) - known:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        _adopt(before)


def children_of(parent: int) -> list[int]:
    """The processes whose parent this is, including ended ones that nobody waited for."""
    return [born.pid for born, its_parent in _processes().items() if its_parent == parent]


def _adopts() -> bool:
    answer = ctypes.c_int(0)
    _prctl(_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    return bool(answer.value)


def _adopt(yes: bool) -> None:
    _prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(yes))


def _prctl(number: int, argument: object) -> None:
    if sys.platform == "linux":
        zero = ctypes.c_ulong(0)
        ctypes.CDLL(None).prctl(number, argument, zero, zero, zero)
