"""A run on which a client fails -> the least of it on which it still fails the same way.

Nothing is run here: ``judge`` lets the client do one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from comfyrec.check.advice import cause_of
from comfyrec.check.result import ScenarioResult
from comfyrec.strategies.smaller import PLAINEST, name_of, smaller
from comfyrec.strategies.streams import Stream, played
from fake_server.scenarios import Choice

__all__ = ["Failure", "Shrunk", "failure_of", "made_smaller"]

REPEATS: Final = 5
"""So often the run that failed is run again, if it passes at first."""
TRIES: Final = 3
"""So often a smaller run is run, for a client that does not always fail."""
_OF_THE_REPORT: Final = frozenset(("K3", "K4", "K5", "K6"))
"""What is wrong with what a client reported. Which of these it is, is a matter of moments: what was
taken for the end may come early, or be true by chance, without the outputs."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A run on which the client fails."""

    drawn: Stream | Choice
    says: str
    """What it did wrong, and on what run."""
    failed: tuple[str, ...]
    """The invariants that do not hold."""
    way: tuple[str, ...]
    """Two runs fail in the same way if these are equal."""
    misses_frames: bool = False
    """It opened no WebSocket before it submitted."""


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """What is left, and how sure that is."""

    failure: Failure
    runs: int = 0
    whole: bool = True
    """It is known that nothing more can be left out; else the time was over."""
    failed: int = 1
    """Of ``tried`` runs that were the same, so many failed."""
    tried: int = 1

    @property
    def flaky(self) -> bool:
        """The same run did not always fail."""
        return self.failed < self.tried


def failure_of(drawn: Stream | Choice, says: str, result: ScenarioResult) -> Failure:
    """A failure, by the result that was judged.

    Args:
        drawn: the run.
        says: the sentence for a person.
        result: it fails.
    """
    return Failure(
        drawn=drawn,
        says=says,
        failed=tuple(one.invariant for one in result.failed),
        way=_way(result),
        misses_frames=result.traffic.socket_first is not True,
    )


def _way(result: ScenarioResult) -> tuple[str, ...]:
    if result.crash or result.ended == "hung":
        return cause_of(result).key
    failed = {one.invariant for one in result.failed}
    if failed & _OF_THE_REPORT:
        return ("reports", str(result.outcome))
    return tuple(sorted(failed))


Judge = Callable[[Stream | Choice], Failure | None]


def made_smaller(found: Failure, judge: Judge, enough: Callable[[], bool]) -> Shrunk:
    """Leave out all without which the client still fails as it did.

    A run that does not fail again is left as it is: nothing of it is known to matter. Ctrl-C ends
    the search, and the best so far is given.

    Args:
        found: the failure.
        judge: lets the client do a run; None: it passes.
        enough: whether the time is over.
    """
    search = _Search(judge, enough, found)
    # Somebody who has seen enough wants to see what there is.
    with suppress(KeyboardInterrupt):
        search.confirm()
        if search.failed > 1:
            search.shrink()
    return search.result()


class _Search:
    def __init__(self, judge: Judge, enough: Callable[[], bool], found: Failure) -> None:
        self._judge, self._enough = judge, enough
        self._best = found
        self._known: set[str] = set()
        self.runs, self.failed, self.tried = 0, 1, 1
        self._whole = False

    def _fails(self, drawn: Stream | Choice) -> Failure | None:
        self.runs += 1
        found = self._judge(drawn)
        return found if found is not None and found.way == self._best.way else None

    def confirm(self) -> None:
        """Run the best again: once if it fails, else some times."""
        self.failed = self.tried = 1
        for _ in range(REPEATS):
            if self._enough():
                return
            failed = self._fails(self._best.drawn) is not None
            self.tried += 1
            self.failed += failed
            if self.failed == self.tried:
                return

    def shrink(self) -> None:
        """Try what is smaller until nothing of that fails."""
        before = self._best
        tries = 1 if self.failed == self.tried else TRIES
        while self._step(tries):
            pass
        self._whole = not self._enough()
        if self._best is not before:
            self.confirm()

    def _step(self, tries: int) -> bool:
        """Find one smaller run that fails; whether there was one."""
        for one in _smaller(self._best):
            name = name_of(one)
            if name in self._known:
                continue
            self._known.add(name)
            for _ in range(tries):
                if self._enough():
                    return False
                found = self._fails(one)
                if found is not None:
                    self._best = found
                    return True
        return False

    def result(self) -> Shrunk:
        return Shrunk(
            failure=self._best,
            runs=self.runs,
            whole=self._whole,
            failed=self.failed,
            tried=self.tried,
        )


def _smaller(found: Failure) -> Iterator[Stream]:
    if isinstance(found.drawn, Stream):
        yield from smaller(found.drawn, misses_frames=found.misses_frames)
        return
    # A scenario is what it is; but it may be that the client fails without it.
    yield played(PLAINEST)
    if found.misses_frames:
        yield played(msgspec.structs.replace(PLAINEST, waits=True))
