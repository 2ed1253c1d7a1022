"""Draw runs, let a client do them, judge; a run on which it fails is made as small as it can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Final

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from comfyrec.check.long_lived import Client, Job
from comfyrec.strategies import Stream, fake_comfyui, runs, scenarios
from comfyrec.strategies.serving import Judged
from comfyrec.strategies.shrink import Failure, Shrunk, failure_of, made_smaller
from fake_server.scenarios import Choice, choose

__all__ = ["FuzzOptions", "Fuzzed", "fuzz", "judged", "shrink"]

FLOOD: Final = "event-flood"
"""More than a client may keep: no stream has that much, and it takes seconds."""
RARE: Final = 100
"""One of so many runs is a flood."""
ONCE_MAX: Final = 3
"""After so many runs that failed, and did not fail again, no more are drawn."""
SHRINK_S: Final = 60.0
HANGS: Final = 12
"""So many runs of a client that hangs there is time for, unless it is said how long."""


class FuzzOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much, and from where."""

    examples: int = 2_000
    seconds: float = 60.0
    shrink_s: float | None = None
    """How long a failing run is made smaller; None: a minute, or more if runs may take long."""
    seed: int = 0
    timeout_s: float = 5.0
    """Of one run."""
    scenarios: str = ""
    """Half of the runs are scenarios that fit this pattern; empty: none is."""


class Fuzzed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    shrunk: Shrunk | None
    """What the client fails, made smaller; None: it fails nothing."""
    examples: int
    """Runs until the first failure that came again, or all."""
    took_s: float
    """As long as that took, without the time to make it smaller."""
    once: int = 0
    """Runs that failed, and did not fail again."""


def judged(client: Client, drawn: Stream | Choice, timeout_s: float) -> Failure | None:
    """Let the client do one run; None: it does nothing wrong."""
    try:
        with fake_comfyui(drawn) as server:
            job = Job(
                url=server.url,
                ws_url=server.ws_url,
                workflow=server.workflow,
                timeout_s=timeout_s,
                measured=isinstance(drawn, Choice),
            )
            server.judge_report(client.run(job, server.clock))
    except Judged as wrong:
        assert wrong.result is not None, "a report was judged"
        return failure_of(drawn, str(wrong), wrong.result)
    return None


def fuzz(
    client: Client,
    options: FuzzOptions,
    *,
    on_example: Callable[[int], None] = lambda number: None,
) -> Fuzzed:
    """Draw runs until the client fails one, the time is over, or there were enough.

    Args:
        client: under test.
        options: how much.
        on_example: is told the number of each run.
    """
    search = _Search(client, options, on_example)
    with suppress(_Enough):
        search.draw()
    took_s = time.monotonic() - search.began_s
    shrunk = search.found or next(iter(search.once), None)
    return Fuzzed(shrunk=shrunk, examples=search.runs, took_s=took_s, once=len(search.once))


def shrink(client: Client, found: Failure, options: FuzzOptions) -> Shrunk:
    """Make what the client fails smaller, and see whether it fails again.

    Args:
        client: under test.
        found: what it failed.
        options: for how long.
    """
    for_s = options.shrink_s or max(SHRINK_S, HANGS * options.timeout_s)
    until = time.monotonic() + for_s
    return made_smaller(
        found,
        lambda drawn: judged(client, drawn, options.timeout_s),
        lambda: time.monotonic() > until,
    )


class _Enough(BaseException):
    """There is a failure, or the time is over; hypothesis lets it through at once."""


class _Search:
    def __init__(
        self, client: Client, options: FuzzOptions, on_example: Callable[[int], None]
    ) -> None:
        self._client, self._options, self._on_example = client, options, on_example
        self.began_s = time.monotonic()
        self.runs = 0
        self.found: Shrunk | None = None
        self.once: list[Shrunk] = []
        """What failed, and did not fail again: on a busy machine a client may be too slow."""

    def draw(self) -> None:
        """Draw runs until it is enough.

        Raises:
            _Enough: there is a failure, or the time is over.
        """
        options = self._options
        configured = settings(
            max_examples=options.examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            # What is found is made smaller by ``shrink``, which knows what a run consists of.
            phases=(Phase.generate,),
            print_blob=False,
        )
        drawn = runs_and_scenarios(options.scenarios)

        def test(drawn: Stream | Choice) -> None:
            self._try(drawn)

        seed(options.seed)(configured(given(drawn)(test)))()

    def _try(self, drawn: Stream | Choice) -> None:
        if time.monotonic() - self.began_s > self._options.seconds:
            raise _Enough
        self.runs += 1
        self._on_example(self.runs)
        failure = judged(self._client, drawn, self._options.timeout_s)
        if failure is None:
            return
        failed_s = time.monotonic()
        shrunk = shrink(self._client, failure, self._options)
        self.began_s += time.monotonic() - failed_s
        if shrunk.failed > 1 or shrunk.tried == 1:
            self.found = shrunk
            raise _Enough
        self.once.append(shrunk)
        if len(self.once) == ONCE_MAX:
            raise _Enough


@st.composite
def runs_and_scenarios(draw: st.DrawFn, pattern: str) -> Stream | Choice:
    """Mostly streams; now and then a flood, and if there is a pattern, as many scenarios.

    Args:
        draw: what hypothesis gives.
        pattern: of scenarios; those about waiting or uploads are left out. Empty: none.
    """
    kind = draw(_kinds(bool(pattern)))
    if kind == "scenario":
        return draw(_scenarios(pattern))
    return choose(FLOOD) if kind == "flood" else draw(_streams())


def _fits_a_double(stream: Stream) -> bool:
    """No number of the graph changes on the way through a client whose numbers are doubles.

    That is so of every client in JavaScript, and says nothing about how it gets along with events.
    """
    return all(
        abs(value) < 1 << 53
        for node in stream.graph.values()
        for value in node["inputs"].values()
        if isinstance(value, int)
    )


# Kept, as hypothesis looks at a strategy for long when it first sees it.


@lru_cache(maxsize=1)
def _streams() -> st.SearchStrategy[Stream]:
    return runs().filter(_fits_a_double)


@lru_cache(maxsize=1)
def _scenarios(pattern: str) -> st.SearchStrategy[Choice]:
    return scenarios(pattern)


@lru_cache(maxsize=2)
def _kinds(with_scenarios: bool) -> st.SearchStrategy[str]:
    kinds = ["stream", "scenario"] if with_scenarios else ["stream"]
    return st.sampled_from([*kinds * (RARE // len(kinds)), "flood"])
