"""The search: what is drawn, when it ends, and that what it finds is small."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest

from comfyrec.check.case import Report
from comfyrec.fuzz.client_process import Client, Job, client_for
from comfyrec.fuzz.search import FuzzOptions, fuzz, judged
from comfyrec.strategies import Stream, played
from comfyrec.strategies.smaller_graphs import ONE_NODE
from fake_server.scenarios import choose
from tests.support.paths import ROOT

PAUSE_S = 0.05
"""Of a client that polls."""


class Plain(Client):
    """Submits, asks the history, and reports what ``told`` makes of the entry."""

    def __init__(self, told: Callable[[Any], str]) -> None:
        self._told, self.runs = told, 0

    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        self.runs += 1
        try:
            sent = self._ask(job, "/prompt", {"prompt": job.workflow})
            prompt_id = sent["prompt_id"]
            for _ in range(50):
                entry = self._ask(job, f"/history/{prompt_id}").get(prompt_id)
                if entry is not None:
                    break
                time.sleep(PAUSE_S)
            outcome: Any = self._told(entry) if entry else "lost"
        except OSError:
            return Report(outcomes=("lost",), at_s=clock())
        outputs = entry["outputs"] if entry else None
        return Report(
            outcomes=(outcome,), at_s=clock(), prompt_id=prompt_id, outputs=outputs, text=prompt_id
        )

    def _ask(self, job: Job, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{job.url}{path}", data), timeout=5) as answer:
            return json.load(answer)

    def close(self) -> None:
        """Nothing is open."""


def right(entry: Any) -> str:
    if entry["status"]["status_str"] == "success":
        return "success"
    return "interrupted" if "execution_interrupted" in str(entry["status"]) else "error"


def always_success(entry: Any) -> str:
    return "success"


@pytest.mark.long
def test_a_client_that_is_right_passes_all_that_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    argv = [sys.executable, "-m", "tests.comfyrec.fuzz.specimen", "right"]

    with client_for(argv) as client:
        found = fuzz(client, FuzzOptions(examples=25, seconds=60))

    assert found.shrunk is None
    assert found.examples == 25


@pytest.mark.slow
def test_a_client_that_only_polls_passes_where_somebody_interrupts_a_prompt_that_waits() -> None:
    stopped = Stream(graph=ONE_NODE, nodes={"1": {"seconds": 600}}, interrupted_at="1", waits=True)

    assert judged(Plain(right), played(stopped), 5) is None


@pytest.mark.long
def test_what_is_found_is_the_smallest_run() -> None:
    found = fuzz(Plain(always_success), FuzzOptions(seconds=60, seed=3))

    assert found.shrunk is not None
    failure = found.shrunk.failure
    assert "K3" in failure.failed
    assert isinstance(failure.drawn, Stream)
    assert (failure.drawn.fault, len(failure.drawn.graph)) == (None, 1)
    assert (found.shrunk.whole, found.shrunk.flaky) == (True, False)
    assert "reported success" in failure.says


@pytest.mark.long
def test_a_run_that_fails_once_does_not_end_the_search() -> None:
    class Slow(Plain):
        def run(self, job: Job, clock: Callable[[], float]) -> Report:
            report = super().run(job, clock)
            return Report(at_s=clock(), crash="TimeoutError") if self.runs == 2 else report

    found = fuzz(Slow(right), FuzzOptions(examples=6, seconds=60))

    assert (found.examples, found.once) == (6, 1)
    assert found.shrunk is not None
    assert (found.shrunk.failed, found.shrunk.tried) == (1, 6)


@pytest.mark.long
def test_the_same_seed_finds_the_same() -> None:
    one, same = (fuzz(Plain(always_success), FuzzOptions(seconds=60, seed=5)) for _ in range(2))

    assert one.shrunk is not None and same.shrunk is not None
    assert (one.examples, one.shrunk) == (same.examples, same.shrunk)


def test_when_the_time_is_over_nothing_more_is_run() -> None:
    client = Plain(right)

    found = fuzz(client, FuzzOptions(seconds=1e-9))

    assert (found.shrunk, found.examples, client.runs) == (None, 0, 0)


@pytest.mark.slow
def test_a_scenario_is_judged_as_well() -> None:
    assert judged(Plain(right), choose("success"), 5) is None
    failure = judged(Plain(always_success), choose("execution-error"), 5)

    assert failure is not None
    assert failure.says.splitlines()[-1] == "execution-error"


@pytest.mark.long
def test_half_of_the_runs_are_scenarios_if_asked() -> None:
    found = fuzz(
        Plain(always_success), FuzzOptions(seconds=60, scenarios="execution-error,interrupt")
    )

    assert found.shrunk is not None
    assert "K3" in found.shrunk.failure.failed
