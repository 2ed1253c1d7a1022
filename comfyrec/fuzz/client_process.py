"""A client under test that lives on: jobs go in, answers come out.

A client that hangs is killed, with all that it has started. One that ended is started again for
the next job.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

import msgspec

from comfyrec.check.case import Outcome, Report
from comfyrec.check.client_report import report_of
from comfyrec.check.command import find_command, run_command
from comfyrec.check.process_tree import MARK, ProcessTree
from comfyrec.check.runner import filled_in
from comfyrec.errors import UsageError
from comfyrec.fuzz.lines import LINE_BYTES_MAX, PROTOCOL, Answer, Ready, job_line, line_read
from comfyrec.wording import shortened

__all__ = ["Client", "LongLived", "OncePerRun", "client_for"]

READY_S: Final = 20.0
KEPT_BYTES: Final = 64 << 10
"""Of what it prints, the last."""
LAST_WORDS_S: Final = 1.0
LOOK_EVERY_S: Final = 0.02
LINE_MAX: Final = 200


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run, for a client."""

    url: str
    ws_url: str
    workflow: Mapping[str, Any]
    timeout_s: float
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


def client_for(argv: Sequence[str]) -> Client:
    """A client that is run once per job if its command has a place, else one that lives on.

    Raises:
        UsageError: there is no such command, or it cannot be started.
    """
    find_command(argv)
    placed = any(place in part for part in argv for place in ("{url}", "{ws_url}", "{port}"))
    return OncePerRun(argv) if placed else LongLived(argv)


# --- a process for each run ------------------------------------------------------------------


class OncePerRun(Client):
    """The command of ``comfyrec check``, with its places, for each run."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv

    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        """See ``Client``."""
        with TemporaryDirectory(prefix="comfyrec-fuzz-") as home:
            workflow, out = Path(home, "workflow.json"), Path(home, "out")
            out.mkdir()
            workflow.write_bytes(msgspec.json.encode(job.workflow))
            host, _, port = job.url.partition("://")[2].partition("/")[0].rpartition(":")
            places = {
                "url": job.url, "ws_url": job.ws_url, "host": host, "port": port,
                "workflow": str(workflow), "out": str(out), "token": "",
            }  # fmt: skip
            argv = [filled_in(part, places) for part in self._argv]
            ran = run_command(argv, env=os.environ, timeout_s=job.timeout_s)
        report = report_of(ran)
        at_s = None if report.at_s is None else clock()
        return msgspec.structs.replace(report, at_s=at_s, memory=())

    def close(self) -> None:
        """Each run has ended its own process."""


# --- one process for all ---------------------------------------------------------------------


class LongLived(Client):
    """A process that speaks the line protocol.

    Args:
        argv: the command.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = list(argv)
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0
        self.starts = 0
        """How many processes there were."""

    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        """See ``Client``.

        Raises:
            UsageError: it cannot be started, or does not speak the protocol.
        """
        process = self._process or self._start()
        self._runs += 1
        memory: list[tuple[float, int]] = []
        _forget_peak(process.pid)
        line = job_line(
            self._runs,
            url=job.url,
            ws_url=job.ws_url,
            workflow=job.workflow,
            timeout_s=job.timeout_s,
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
            said = self._next(max(step, 0))
            if isinstance(said, Answer) and said.run == self._runs:
                return self._report(said, clock(), memory)
            if isinstance(said, str):
                return Report(at_s=clock(), crash=said, text=self._printed())
            if said is _ENDED:
                return self._ended(clock())
            if time.monotonic() >= until:
                self.close()
                return Report(text=self._printed())

    def _report(self, answer: Answer, at_s: float, memory: list[tuple[float, int]]) -> Report:
        outcome: Any = answer.outcome
        outcomes: tuple[Outcome, ...] = () if outcome is None else (outcome,)
        return Report(
            outcomes=outcomes,
            at_s=at_s,
            prompt_id=answer.prompt_id,
            outputs=answer.outputs,
            text=f"{answer.error} {answer.prompt_id or ''}",
            crash=shortened(answer.crash, LINE_MAX),
            crash_at=answer.at,
            memory=tuple(_rising(memory)),
        )

    def _ended(self, at_s: float) -> Report:
        self._read_last_words()
        process, text = self._process, self._printed()
        status = process.wait() if process is not None else None
        self.close()
        lines = [line for line in text.splitlines() if line.strip()]
        last = f": {lines[-1].strip()}" if lines else ""
        crash = shortened(f"its process ended with status {status}{last}", LINE_MAX)
        return Report(at_s=at_s, crash=crash, text=text)

    # --- the process ---------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        mark = uuid.uuid4().hex
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, MARK: mark},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"the command '{self._argv[0]}' cannot be started: {error}") from None
        self.starts += 1
        self._process = process
        self._tree = ProcessTree(process.pid, mark)
        self._selector = selectors.DefaultSelector()
        self._kept, self._errors = bytearray(), bytearray()
        self._skipping = False
        for stream, kept in ((process.stdout, self._kept), (process.stderr, self._errors)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ, kept)
        self._wait_until_ready()
        return process

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + READY_S
        said: object = None
        while (left := until - time.monotonic()) > 0:
            said = self._next(left)
            if isinstance(said, Ready):
                if said.ready == PROTOCOL:
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
        text = self._printed().strip()
        self.close()
        last = f"; it printed: {shortened(text.splitlines()[-1], LINE_MAX)}" if text else ""
        raise UsageError(
            "the command does not speak the line protocol: it never said "
            f'{{"comfyrec": {{"ready": {PROTOCOL}}}}}{last}; see docs/fuzzing.md, or write {{url}} '
            "into the command to run it once per example"
        )

    def _write(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _next(self, timeout_s: float) -> Ready | Answer | str | object | None:
        """What the client says next; None: nothing so far."""
        if (line := self._line()) is not None:
            return line_read(line)
        for key, _ in self._selector.select(timeout_s):
            try:
                piece = os.read(key.fd, 1 << 16)
            except BlockingIOError:
                continue
            key.data.extend(piece)
            if not piece:
                self._selector.unregister(key.fileobj)
                if key.data is self._kept:
                    return _ENDED
        del self._errors[:-KEPT_BYTES]
        return None if (line := self._line()) is None else line_read(line)

    def _line(self) -> bytes | None:
        end = self._kept.find(b"\n")
        if end < 0:
            if len(self._kept) > LINE_BYTES_MAX:
                self._kept.clear()
                self._skipping = True
            return None
        line = bytes(self._kept[:end])
        del self._kept[: end + 1]
        skipped, self._skipping = self._skipping, False
        return b"" if skipped else line

    def _read_last_words(self) -> None:
        until = time.monotonic() + LAST_WORDS_S
        while self._selector.get_map() and (left := until - time.monotonic()) > 0:
            self._next(left)

    def _printed(self) -> str:
        return self._errors.decode("utf-8", "replace")

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
