"""A client under test that lives on: jobs go in, answers come out (``lines`` is how).

A client that hangs is killed, with all that it has started. One that ended is started again for
the next job.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Self

import msgspec

from comfyrec.check.case import Outcome, Report
from comfyrec.check.client_report import last_line
from comfyrec.check.command import Kept
from comfyrec.check.lines import LINE_BYTES_MAX, PROTOCOL, Answer, Ready, job_line, line_read
from comfyrec.check.process_tree import MARK, ProcessTree
from comfyrec.errors import UsageError
from comfyrec.wording import shortened

__all__ = ["Client", "Clients", "Job", "LongLived"]

READY_S: Final = 20.0
LAST_WORDS_S: Final = 1.0
LOOK_EVERY_S: Final = 0.02
HEED_S: Final = 0.1
"""How soon it is noticed that all is to stop."""
LINE_MAX: Final = 200
PIECE_BYTES: Final = 1 << 16
PIECES_MAX: Final = 64
"""So much is read of what a client still says behind its answer; it may print for ever."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run, for a client."""

    url: str
    ws_url: str
    workflow: Mapping[str, Any]
    timeout_s: float
    more: Mapping[str, str] = {}
    """Further members of its line."""
    measured: bool = False
    """Whether its memory is looked at."""


class Client(ABC):
    """Does runs; to be closed at the end."""

    @abstractmethod
    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        """Let the client do it, and give what it reported; ``at_s`` None: it hung.

        Args:
            job: the run.
            clock: of the server; seconds.
        """

    @abstractmethod
    def close(self) -> None:
        """End it, with all that it has started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LongLived(Client):
    """A process that speaks the line protocol.

    Args:
        argv: the command.
        env: its environment; None: ours.
        stop: once set, the time of any job is over.
        otherwise: what else can be done if it does not speak the protocol.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        otherwise: str = "write {url} into the command",
    ) -> None:
        self._argv, self._env, self._stop = list(argv), env, stop
        self._otherwise = otherwise
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self.starts = 0
        """How many processes there were."""
        self.saves = False
        """It said that it saves files."""

    def start(self) -> subprocess.Popen[bytes]:
        """The process, started if there is none, or no more.

        Raises:
            UsageError: it cannot be started, or does not speak the protocol.
        """
        if self._process is not None and self._process.poll() is not None:
            self.close()
        return self._process or self._started()

    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        """See ``Client``.

        Raises:
            UsageError: it cannot be started, or does not speak the protocol.
        """
        process = self.start()
        self._runs += 1
        self._said, self._errors = Kept(), Kept()
        memory: list[tuple[float, int]] = []
        _forget_peak(process.pid)
        line = job_line(
            self._runs,
            url=job.url,
            ws_url=job.ws_url,
            workflow=job.workflow,
            timeout_s=job.timeout_s,
            more=job.more,
        )
        with contextlib.suppress(OSError):  # one that has ended says so on its output
            self._write(line)
        until = time.monotonic() + job.timeout_s
        while True:
            step = until - time.monotonic()
            if job.measured:
                self._tree.memory.clear()
                self._tree.look(clock())
                memory += self._tree.memory
                step = min(step, LOOK_EVERY_S)
            said = self._next(max(min(step, HEED_S), 0))
            if isinstance(said, Answer) and said.run == self._runs:
                return self._answered(said, clock(), memory)
            if isinstance(said, str):
                return Report(at_s=clock(), crash=said, text=self._printed())
            if said is _ENDED:
                return self._ended(clock())
            if time.monotonic() >= until or (self._stop is not None and self._stop.is_set()):
                self.close()
                return Report(text=self._printed())

    def _answered(self, answer: Answer, at_s: float, memory: list[tuple[float, int]]) -> Report:
        """What it reported, and what it has said besides, even a second outcome."""
        answers = [answer]
        for _ in range(PIECES_MAX):
            if not self._read(0):
                break
        while (line := self._line()) is not None:
            said = line_read(line)
            if isinstance(said, Answer) and said.run == self._runs:
                answers.append(said)
        told: list[Any] = [one.outcome for one in answers]
        outcomes: tuple[Outcome, ...] = tuple(one for one in told if one is not None)
        last = answers[-1]
        return Report(
            outcomes=outcomes,
            at_s=at_s,
            prompt_id=last.prompt_id,
            outputs=last.outputs,
            text=self._printed(),
            crash=shortened(last.crash, LINE_MAX),
            crash_at=last.at,
            last_words=last_line(last.error) or last_line(self._errors.text()),
            memory=tuple(_rising(memory)),
        )

    def _ended(self, at_s: float) -> Report:
        self._read_last_words()
        process, last = self._process, last_line(self._errors.text())
        status = process.wait() if process is not None else None
        self.close()
        why = f": {last}" if last else ""
        crash = shortened(f"its process ended with status {status}{why}", LINE_MAX)
        return Report(at_s=at_s, crash=crash, text=self._printed())

    # --- the process ---------------------------------------------------------------------------

    def _started(self) -> subprocess.Popen[bytes]:
        mark = uuid.uuid4().hex
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**(os.environ if self._env is None else self._env), MARK: mark},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"the command '{self._argv[0]}' cannot be started: {error}") from None
        self.starts += 1
        self._process = process
        self._tree = ProcessTree(process.pid, mark)
        self._selector = selectors.DefaultSelector()
        self._unread, self._skipping = bytearray(), False
        self._said, self._errors = Kept(), Kept()
        self._watch(process.stdout, self._unread.extend)
        self._watch(process.stderr, lambda piece: self._errors.add(piece))
        self._wait_until_ready()
        return process

    def _watch(self, stream: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, selectors.EVENT_READ, take)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + READY_S
        said: object = None
        while (left := until - time.monotonic()) > 0:
            said = self._next(left)
            if isinstance(said, Ready):
                if said.ready == PROTOCOL:
                    self.saves = said.saves
                    return
                self.close()
                raise UsageError(
                    f"the client speaks version {said.ready} of the line protocol, and this "
                    f"comfyrec version {PROTOCOL}; update the older one"
                )
            if said is _ENDED or isinstance(said, str):
                break
        if said is _ENDED:
            self._read_last_words()
        last = last_line(self._errors.text())
        self.close()
        printed = f"; it printed: {last}" if last else ""
        raise UsageError(
            "the command does not speak the line protocol: it never said "
            f'{{"comfyrec": {{"ready": {PROTOCOL}}}}}{printed}; see docs/fuzzing.md, or '
            f"{self._otherwise} to have it started for each run"
        )

    def _write(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _next(self, timeout_s: float) -> Ready | Answer | str | object | None:
        """What the client says next; None: nothing so far."""
        if (line := self._line()) is not None:
            return line_read(line)
        self._read(timeout_s)
        if (line := self._line()) is not None:
            return line_read(line)
        assert self._process is not None and self._process.stdout is not None
        return None if self._process.stdout in self._open() else _ENDED

    def _open(self) -> list[Any]:
        """The streams that it has not closed."""
        return [key.fileobj for key in self._selector.get_map().values()]

    def _read(self, timeout_s: float) -> bool:
        """Take a piece of each stream that has something; whether there was any."""
        found = False
        for key, _ in self._selector.select(timeout_s):
            try:
                piece = os.read(key.fd, PIECE_BYTES)
            except BlockingIOError:
                continue
            key.data(piece)
            found = True
            if not piece:
                self._selector.unregister(key.fileobj)
        return found

    def _line(self) -> bytes | None:
        end = self._unread.find(b"\n")
        if end < 0:
            if len(self._unread) > LINE_BYTES_MAX:
                self._said.add(bytes(self._unread))
                self._unread.clear()
                self._skipping = True
            return None
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        self._said.add(line + b"\n")
        skipped, self._skipping = self._skipping, False
        return b"" if skipped else line

    def _read_last_words(self) -> None:
        until = time.monotonic() + LAST_WORDS_S
        while self._selector.get_map() and (left := until - time.monotonic()) > 0:
            self._read(left)
            while self._line() is not None:
                pass

    def _printed(self) -> str:
        """All of this run, both streams."""
        return f"{self._said.text()}\n{self._errors.text()}"

    def close(self) -> None:
        """End it, with all that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        self._selector.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self._tree.find()
            os.killpg(process.pid, 9)
        process.wait()
        self._tree.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


_ENDED: Final = object()


class Clients(Client):
    """As many of them as there are runs at a time, each started when it is first needed.

    Args:
        argv, env, stop, otherwise: of each.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        otherwise: str = "write {url} into the command",
    ) -> None:
        self._new = partial(LongLived, argv, env=env, stop=stop, otherwise=otherwise)
        self._idle: deque[LongLived] = deque()
        self.saves = False
        """They said that they save files."""

    def start(self) -> None:
        """Start one, to see whether that goes well.

        Raises:
            UsageError: it cannot be started, or does not speak the protocol.
        """
        client = self._new()
        client.start()
        self.saves = client.saves
        self._idle.append(client)

    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        """See ``Client``. From any thread.

        Raises:
            UsageError: one cannot be started, or does not speak the protocol.
        """
        try:
            client = self._idle.pop()
        except IndexError:
            client = self._new()
        try:
            return client.run(job, clock)
        finally:
            self._idle.append(client)

    def close(self) -> None:
        """End all; no run may be under way."""
        while self._idle:
            self._idle.pop().close()


def _forget_peak(pid: int) -> None:
    """Let the system measure the peak of memory anew, where it can."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_bytes(b"5")


def _rising(memory: list[tuple[float, int]]) -> list[tuple[float, int]]:
    found: list[tuple[float, int]] = []
    for second, size in memory:
        if not found or size > found[-1][1]:
            found.append((second, size))
    return found
