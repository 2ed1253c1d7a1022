"""Draw runs, let a client do them, judge; a run on which it fails is made as small as it can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, FlakyFailure

from comfyrec.fuzz.client_process import Client, Job
from comfyrec.strategies import Stream, fake_comfyui, runs, scenarios
from comfyrec.strategies.serving import Judged
from fake_server.scenarios import Choice, choose

__all__ = ["Failure", "FuzzOptions", "Fuzzed", "fuzz", "judged"]

FLOOD: Final = "event-flood"
"""More than a client may keep: no stream has that much, and it takes seconds."""
RARE: Final = 100
"""One of so many runs is a flood."""


class FuzzOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much, and from where."""

    examples: int = 2_000
    seconds: float = 60.0
    shrink_s: float = 30.0
    """How long a failing run is made smaller."""
    seed: int = 0
    timeout_s: float = 5.0
    """Of one run."""
    scenarios: str = ""
    """Half of the runs are scenarios that fit this pattern; empty: none is."""


class Failure(msgspec.Struct, frozen=True):
    """A run on which the client fails."""

    drawn: Stream | Choice
    says: str
    """What it did wrong, and on what run."""
    failed: tuple[str, ...]
    """The invariants that do not hold."""


class Fuzzed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    failure: Failure | None
    examples: int
    """Runs until the first failure, or all."""
    took_s: float
    """As long as that took."""
    shrinks: int = 0
    """Runs to make it smaller."""
    flaky: bool = False
    """The same run did not fail again."""


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
        return Failure(drawn, str(wrong), wrong.failed)
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
    flaky = False
    try:
        search.test()()
    except (Flaky, FlakyFailure):
        flaky = True
    except (_Wrong, _Enough):
        pass
    except BaseExceptionGroup as group:  # several bugs at once
        rest = group.split(_Wrong)[1]
        if rest is not None:
            raise
    return search.result(flaky=flaky)


class _Wrong(Exception):
    """The client failed; each way has a class of its own, so that shrinking keeps to it."""


class _Enough(BaseException):
    """The time is over; hypothesis lets it through at once."""


@lru_cache(maxsize=64)
def _wrong(failed: tuple[str, ...]) -> type[_Wrong]:
    return type(f"_Wrong{''.join(failed)}", (_Wrong,), {})


class _Search:
    def __init__(
        self, client: Client, options: FuzzOptions, on_example: Callable[[int], None]
    ) -> None:
        self._client, self._options, self._on_example = client, options, on_example
        self._began = time.monotonic()
        self._first_s: float | None = None
        self._runs = self._shrinks = 0
        self._known: dict[str, Failure] = {}
        self._best: Failure | None = None

    def test(self) -> Callable[[], None]:
        """What hypothesis runs."""
        options = self._options
        configured = settings(
            max_examples=options.examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            print_blob=False,
            report_multiple_bugs=False,
        )
        drawn = runs_and_scenarios(self._options.scenarios)

        def test(drawn: Stream | Choice) -> None:
            self._try(drawn)

        found: Callable[[], None] = seed(options.seed)(configured(given(drawn)(test)))
        return found

    def _try(self, drawn: Stream | Choice) -> None:
        name = _name(drawn)
        now = time.monotonic()
        if self._first_s is None:
            if now - self._began > self._options.seconds:
                raise _Enough
            self._runs += 1
            self._on_example(self._runs)
        else:
            if now - self._first_s > self._options.shrink_s:
                raise _Enough
            self._shrinks += 1
        failure = self._known.get(name) or judged(self._client, drawn, self._options.timeout_s)
        if failure is None:
            return
        self._first_s = self._first_s or time.monotonic()
        self._known[name] = failure
        self._best = failure
        raise _wrong(failure.failed)(failure.says)

    def result(self, *, flaky: bool) -> Fuzzed:
        """What came of it."""
        until = self._first_s or time.monotonic()
        return Fuzzed(
            failure=self._best,
            examples=self._runs,
            took_s=until - self._began,
            shrinks=self._shrinks,
            flaky=flaky,
        )


def _name(drawn: Stream | Choice) -> str:
    if isinstance(drawn, Choice):
        return drawn.title
    return repr(msgspec.structs.replace(drawn, catalogue=None, messages=())) + repr(drawn.fault)


@st.composite
def runs_and_scenarios(draw: st.DrawFn, pattern: str) -> Stream | Choice:
    """Mostly streams; now and then a flood, and if there is a pattern, as many scenarios.

    Args:
        draw: what hypothesis gives.
        pattern: of scenarios; those about waiting are left out. Empty: none.
    """
    kind = draw(st.sampled_from(_kinds(bool(pattern))))
    if kind == "scenario":
        return draw(scenarios(pattern))
    return choose(FLOOD) if kind == "flood" else draw(runs().filter(_fits_a_double))


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


@lru_cache(maxsize=2)
def _kinds(with_scenarios: bool) -> list[str]:
    kinds = ["stream", "scenario"] if with_scenarios else ["stream"]
    return [*kinds * (RARE // len(kinds)), "flood"]
