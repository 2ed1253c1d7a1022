"""When a server ends: with the process that started it, or when its standard input is closed."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["when_parent_ends", "when_stdin_closes"]

LOOK_EVERY_S: Final = 0.5
"""Where a system cannot wait for the end of a process that is not a child."""


def when_parent_ends(ended: Callable[[], None]) -> None:
    """Call ``ended`` from another thread once the process that started this one has ended.

    Windows keeps the number of a parent that is gone; there it is never called.
    """
    parent = os.getppid()
    _in_the_background(lambda: _wait_for_the_end_of(parent), ended)


def when_stdin_closes(ended: Callable[[], None]) -> None:
    """Call ``ended`` from another thread once standard input is at its end."""
    _in_the_background(_read_stdin_to_its_end, ended)


def _in_the_background(wait: Callable[[], None], then: Callable[[], None]) -> None:
    def run() -> None:
        wait()
        then()

    threading.Thread(target=run, name="comfyrec-lifetime", daemon=True).start()


def _wait_for_the_end_of(parent: int) -> None:
    if sys.platform == "linux":
        try:
            handle = os.pidfd_open(parent)
        except OSError:  # it is gone, or the kernel is older than 5.3
            pass
        else:
            # A parent that had ended by then could have left its number to another process.
            if os.getppid() == parent:
                select.select([handle], [], [])
            os.close(handle)
            return
    ticks = threading.Event()
    while os.getppid() == parent:
        ticks.wait(LOOK_EVERY_S)


def _read_stdin_to_its_end() -> None:
    try:
        while os.read(0, 65_536):
            pass
    except OSError:  # it was closed before we came
        return
