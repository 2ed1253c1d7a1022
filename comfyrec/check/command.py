"""A command under supervision: its own process group, a time limit, bounded output, no leftovers.

A command may ignore SIGTERM, leave children behind that hold its pipes open, or print forever.
Children that left its process group are found through ``/proc`` (``process_tree``).
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import selectors
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final

from comfyrec.check.client_report import Ran
from comfyrec.check.process_tree import MARK, ProcessTree
from comfyrec.errors import UsageError

__all__ = ["Kept", "find_command", "run_command"]

KEEP_BYTES: Final = 256 * 1024
"""Of each stream: half from its beginning, half from its end."""
GRACE_S: Final = 2.0
"""Between asking a command to end and killing it."""
LOOK_EVERY_S: Final = 0.02
"""Between two looks at the memory that a command takes."""
_HEED_S: Final = 0.1
"""How soon a reader notices that it is to stop."""


class Kept:
    """The beginning and the end of a stream that may be endless."""

    def __init__(self) -> None:
        self._first, self._last, self._left_out = bytearray(), bytearray(), 0

    def add(self, piece: bytes) -> None:
        half = KEEP_BYTES // 2
        room = half - len(self._first)
        self._first += piece[:room]
        self._last += piece[room:]
        if len(self._last) > half:
            self._left_out += len(self._last) - half
            del self._last[:-half]

    def text(self) -> str:
        gap = f"\n[... {self._left_out} bytes left out ...]\n".encode() if self._left_out else b""
        return (bytes(self._first) + gap + bytes(self._last)).decode("utf-8", "replace")


class _Reader:
    """Reads a command's streams in a thread of its own, so that no pipe is ever full."""

    def __init__(self, *streams: IO[bytes]) -> None:
        self._streams = streams
        self._kept = [Kept() for _ in streams]
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._read, name="comfyrec-check-read", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for stream, kept in zip(self._streams, self._kept, strict=True):
                selector.register(stream, selectors.EVENT_READ, kept)
            while selector.get_map() and not self._enough.is_set():
                for key, _ in selector.select(_HEED_S):
                    piece = os.read(key.fd, 65_536)
                    key.data.add(piece)
                    if not piece:
                        selector.unregister(key.fileobj)

    def texts(self) -> list[str]:
        """What was kept, once the writers are gone; a writer that stays is not waited for long."""
        self._thread.join(GRACE_S)
        self._enough.set()
        self._thread.join()
        for stream in self._streams:
            stream.close()
        return [kept.text() for kept in self._kept]


def find_command(argv: Sequence[str]) -> None:
    """Make sure that there is such a command.

    Raises:
        UsageError: there is none, or it cannot be executed.
    """
    if not argv:
        raise UsageError("there is no command to check; write it after '--'")
    if shutil.which(argv[0]) is None:
        raise UsageError(
            f"the command '{argv[0]}' does not exist or cannot be executed; "
            f"give its path, or put it on PATH"
        )


def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float,
    stop: threading.Event | None = None,
) -> Ran:
    """Run a command until it ends or its time is over; nothing of it is left running.

    Args:
        argv: the command.
        env: its whole environment.
        cwd: where it runs.
        timeout_s: its time.
        stop: once set, the time is over.

    Raises:
        UsageError: it cannot be started.
    """
    mark = uuid.uuid4().hex
    began = time.monotonic()
    process = _start(argv, {**env, MARK: mark}, cwd)
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both streams are pipes")
    tree = ProcessTree(process.pid, mark)
    reader = _Reader(process.stdout, process.stderr)
    try:
        in_time = _watch(process, tree, began + timeout_s, stop or threading.Event())
        ended = time.monotonic()
    finally:
        _end(process, tree)
        stdout, stderr = reader.texts()
    status = process.returncode
    return Ran(
        status=status if in_time and status >= 0 else None,
        signal=_name(-status) if in_time and status < 0 else "",
        stdout=stdout,
        stderr=stderr,
        ended_s=ended,
        took_s=ended - began,
        memory=tuple(tree.memory),
    )


def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"the command '{argv[0]}' cannot be started: {error}") from None


def _watch(
    process: subprocess.Popen[bytes], tree: ProcessTree, until_s: float, stop: threading.Event
) -> bool:
    """Wait for the end, with a look at the processes now and then; whether it came in time."""
    with _noticing(process) as ends_within:
        while (left_s := until_s - time.monotonic()) > 0 and not stop.is_set():
            tree.look(time.monotonic())
            if ends_within(min(left_s, LOOK_EVERY_S)):
                break
    return _wait(process, 0)


@contextmanager
def _noticing(process: subprocess.Popen[bytes]) -> Iterator[Callable[[float], bool]]:
    """A function that waits for the process's end, so many seconds at most: whether it came.

    Linux says it by a descriptor; elsewhere ``Popen.wait`` looks again and again.
    """
    try:
        file = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        yield partial(_wait, process)
        return
    try:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        yield lambda seconds: bool(poll.poll(math.ceil(1000 * seconds)))
    finally:
        os.close(file)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes], tree: ProcessTree) -> None:
    """End the command if it still runs, and everything that it left behind."""
    if process.poll() is None:
        tree.find()  # as long as their parent lives
        _signal_group(process.pid, signal.SIGTERM)
        _wait(process, GRACE_S)
    # Its group may live on without it.
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    tree.kill()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
