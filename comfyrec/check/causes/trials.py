"""One command, many times, each time before another server: in parallel, and again if asked.

What looks for the cause of a failure (``bisect``, ``shrink``) asks here how the client does.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

import msgspec

from comfyrec.check.advice import cause_of
from comfyrec.check.command import find_command
from comfyrec.check.result import ScenarioResult
from comfyrec.check.runner import CheckOptions, check_one, clients_of
from comfyrec.errors import ScenarioError, UsageError
from fake_server.scenarios import Choice

__all__ = ["Repeat", "Trial", "Trials", "why"]

REPEATS_MAX: Final = 100


class Repeat(msgspec.Struct, frozen=True):
    """How often a trial is run, and how many of these runs have to fail for it to be a failure."""

    failures: int = 1
    runs: int = 1

    @classmethod
    def from_text(cls, text: str) -> Self:
        """``N-of-M`` -> that; ``M`` alone: one failure of M is enough.

        Raises:
            UsageError: it is written in another way, or needs more failures than runs.
        """
        found = re.fullmatch(r"(?:(\d{1,3})-of-)?(\d{1,3})", text)
        failures, runs = (int(found[1] or 1), int(found[2])) if found else (0, 0)
        if not 1 <= failures <= runs <= REPEATS_MAX:
            raise UsageError(
                f"--repeat {text}: write N-of-M with 1 <= N <= M <= {REPEATS_MAX}, as in 2-of-3"
            )
        return cls(failures, runs)


class Trial(msgspec.Struct, frozen=True):
    """One question: how the client does in this scenario, run like this."""

    choice: Choice
    options: CheckOptions


def why(result: ScenarioResult) -> str:
    """What the client did wrong, one sentence without its period; empty if it failed nothing."""
    return cause_of(result).sentence if result.status == "fail" else ""


class Trials:
    """Runs trials, several at a time.

    Args:
        argv: the client's command.
        jobs: runs at the same time.
        repeat: how often each trial is run.
        lines: the command lives on and takes jobs.
        on_run: is told of each run, from any thread.

    Raises:
        UsageError: there is no such command, or it is to take jobs and does not.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        jobs: int = 1,
        repeat: Repeat | None = None,
        lines: bool = False,
        on_run: Callable[[ScenarioResult], None] = lambda result: None,
    ) -> None:
        find_command(argv)
        self._repeat, self._on_run = repeat or Repeat(), on_run
        self._stop = threading.Event()
        options = CheckOptions(argv=tuple(argv), lines=lines)
        self._clients = clients_of(options, self._stop) if lines else None
        self._home = TemporaryDirectory(prefix="comfyrec-trials-")
        self._pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="comfyrec-trials")
        self._numbers = count()
        self.jobs = jobs
        self.runs = 0
        """How many runs there were so far."""
        self.flaky = False
        """Of the runs of one trial some failed and some did not."""

    def results(self, trials: Sequence[Trial]) -> list[ScenarioResult]:
        """How the client did in each, in their order.

        Where a trial is run several times: of the failures, if there are enough that are alike,
        the first; else of the others the first.

        Raises:
            ScenarioError: one could not be played.
        """
        futures = [self.start(trial) for trial in trials]
        return [future.result() for future in futures]

    def start(self, trial: Trial) -> Future[ScenarioResult]:
        """Begin one; its result comes when it is there."""
        return self._pool.submit(self._repeated, trial)

    def _repeated(self, trial: Trial) -> ScenarioResult:
        failures: dict[tuple[str, ...], list[ScenarioResult]] = {}
        fine: list[ScenarioResult] = []
        for run in range(self._repeat.runs):
            result = self._once(trial)
            if result.status == "fail":
                alike = failures.setdefault(cause_of(result).key, [])
                alike.append(result)
                if len(alike) >= self._repeat.failures:
                    self.flaky = self.flaky or bool(fine)
                    return alike[0]
            else:
                fine.append(result)
            left = self._repeat.runs - run - 1
            most = max(map(len, failures.values()), default=0)
            if fine and most + left < self._repeat.failures:
                break
        self.flaky = self.flaky or bool(failures)
        return fine[0] if fine else next(iter(failures.values()))[0]

    def _once(self, trial: Trial) -> ScenarioResult:
        folder = Path(self._home.name) / str(next(self._numbers))
        result = check_one(
            trial.choice, trial.options, folder, stop=self._stop, clients=self._clients
        )
        shutil.rmtree(folder, ignore_errors=True)
        self.runs += 1
        if result.ended == "not run":
            raise ScenarioError(f"{result.name}: {'; '.join(result.notes)}")
        self._on_run(result)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # When all went well nothing runs any more; else (Ctrl-C) what still runs ends now.
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._clients is not None:
            self._clients.close()
        self._home.cleanup()
