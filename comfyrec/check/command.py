"""A command under supervision: its own process group, a limit, bounded output, and nothing left.

A child may ignore SIGTERM, leave children behind that hold its pipes open, or print for ever. Each
command gets a mark in its environment that its children inherit, so that even those which left its
process group are found (where ``/proc`` tells).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from comfyrec.check.reported import Ran
from comfyrec.errors import UsageError

__all__ = ["find_command", "run_command", "stop_everything"]

KEEP_BYTES: Final = 256 * 1024
"""Of each stream, half from its beginning and half from its end."""
GRACE_S: Final = 2.0
"""Between asking a command to end and killing it."""
MARK: Final = "COMFYREC_CHECK_MARK"

_running: dict[int, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


class _Kept:
    """The beginning and the end of a stream that may be endless."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._first, self._last, self._left_out = bytearray(), bytearray(), 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        half = KEEP_BYTES // 2
        # The pipe may be closed under us when a grandchild holds its other end.
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(self._stream.fileno(), 65_536):
                room = half - len(self._first)
                self._first += piece[:room]
                self._last += piece[room:]
                if len(self._last) > half:
                    self._left_out += len(self._last) - half
                    del self._last[:-half]

    def text(self) -> str:
        """What was kept, once the writers are gone."""
        self._thread.join(GRACE_S)
        gap = f"\n[... {self._left_out} bytes left out ...]\n".encode() if self._left_out else b""
        return (bytes(self._first) + gap + bytes(self._last)).decode("utf-8", "replace")


def find_command(argv: Sequence[str]) -> None:
    """See that there is such a command.

    Raises:
        UsageError: there is none, or it cannot be executed.
    """
    if not argv:
        raise UsageError("there is no command to check; write it behind '--'")
    if shutil.which(argv[0]) is None:
        raise UsageError(
            f"the command '{argv[0]}' does not exist or cannot be executed; "
            f"give its path, or see that it is on PATH"
        )


def run_command(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float,
) -> Ran:
    """Run a command to its end, or to the end of its time; nothing of it is left running.

    Raises:
        UsageError: it cannot be started.
    """
    mark = uuid.uuid4().hex
    began = time.monotonic()
    process = _start(argv, {**env, MARK: mark}, cwd)
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both streams are pipes")
    kept = _Kept(process.stdout), _Kept(process.stderr)
    try:
        in_time = _wait(process, timeout_s)
        ended = time.monotonic()
    finally:
        _end(process, mark)
    stdout, stderr = kept[0].text(), kept[1].text()
    process.stdout.close()
    process.stderr.close()
    status = process.returncode
    return Ran(
        status=status if in_time and status >= 0 else None,
        signal=_name(-status) if in_time and status < 0 else "",
        stdout=stdout,
        stderr=stderr,
        ended_s=ended,
        took_s=ended - began,
    )


def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path | None
) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
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
    with _lock:
        _running[process.pid] = process
    return process


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the command if it still runs, and whatever it left behind."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        _wait(process, GRACE_S)
    # Its group may live on without it.
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    for pid in _marked(mark):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with _lock:
        _running.pop(process.pid, None)


def stop_everything() -> None:
    """Kill all commands that run at the moment: the check itself was interrupted."""
    with _lock:
        pids = list(_running)
    for pid in pids:
        _signal_group(pid, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _marked(mark: str) -> Iterator[int]:
    """Processes that inherited the mark, where the system shows environments."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        # Other people's processes, and those that ended meanwhile, cannot be read.
        with contextlib.suppress(OSError):
            if wanted in entry.read_bytes().split(b"\0"):
                yield int(entry.parent.name)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
