"""Leak checks, as a downstream project might have them; the plugin's tests copy it there."""

import asyncio
import gc
import threading
from pathlib import Path

import pytest

# Threads that libraries keep for a while: trio's cache of idle ones. Everything else is a leak.
KEPT_BY_OTHERS = ("Trio thread",)


def descriptors():
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:  # the one that reads the folder
            continue
    return found


def listening():
    """Sockets of this process that take connections."""
    own = {link[8:-1] for link in descriptors() if link.startswith("socket:")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in own]


def tasks():
    from fake_server.server.thread import loop_thread

    thread = loop_thread()
    return thread.call(lambda: list(asyncio.all_tasks(thread.loop)))


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    """Behind the last test there is what was there before the first, and one loop."""
    threads, files = set(threading.enumerate()), len(descriptors())
    yield
    gc.collect()
    new = [t.name for t in threading.enumerate() if t not in threads]
    assert [name for name in new if not name.startswith(KEPT_BY_OTHERS)] == ["comfyrec-loop"]
    assert listening() == []
    assert tasks() == []
    # What a loop needs: its selector, that of its listening sockets, and the two ends of the pipe
    # that wakes it.
    assert len(descriptors()) <= files + 4, descriptors()
