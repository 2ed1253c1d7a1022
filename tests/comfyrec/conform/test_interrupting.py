"""A chain that is interrupted, on executors that heed, ignore, or are too fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from comfyrec.conform.interrupting import STEPS, Interrupt, chain, interrupt

OURS, NOBODY = "ours", "nobody"


class Executor:
    """Runs the chain: so many nodes start whenever its client does something.

    Args:
        heeds: the ids by whose interrupt the chain ends; None: none.
        at_once: nodes that start between two things that the client does.
        runs: what it says that runs, instead of the chain.
        success_event: it says so when a prompt succeeds.
        lost: no frame comes after that many nodes.
    """

    def __init__(
        self,
        heeds: tuple[str, ...] = (OURS,),
        *,
        at_once: int = 1,
        runs: list[str] | None = None,
        success_event: bool = True,
        lost: int | None = None,
    ) -> None:
        self.heeds, self.at_once, self.runs, self.lost = heeds, at_once, runs, lost
        self.success_event = success_event
        self.left = list(chain(0))
        self.frames: deque[dict[str, Any]] = deque()
        self.over = False
        self.asked: list[str] = []

    def interrupt(self, prompt_id: str) -> None:
        self.asked.append(prompt_id)
        self._go_on()
        if prompt_id in self.heeds and not self.over:
            self._end("execution_interrupted")

    def running(self) -> list[str]:
        self._go_on()
        return self.runs or ([] if self.over else [OURS])

    def frame(self, *, wait: bool) -> Mapping[str, Any] | None:
        if wait and not self.frames:
            self._go_on()
        return self.frames.popleft() if self.frames else None

    def _go_on(self) -> None:
        for _ in range(self.at_once):
            if self.lost is not None and len(self.left) <= STEPS - self.lost:
                return
            if self.left:
                self._say("executing", node=self.left.pop(0))
            elif not self.over:
                self._end("execution_success")

    def _end(self, how: str) -> None:
        self.over, self.left = True, []
        if how != "execution_success" or self.success_event:
            self._say(how)
        self._say("executing", node=None)

    def _say(self, kind: str, **data: Any) -> None:
        self.frames.append({"type": "status", "data": {"status": {}}})
        self.frames.append({"type": kind, "data": {"prompt_id": OURS, **data}})


@pytest.mark.parametrize(
    "executor, became",
    [
        (Executor(), Interrupt(heeded=True, aimed=True)),
        (Executor((OURS, NOBODY)), Interrupt(heeded=True, aimed=False)),
        (Executor(()), Interrupt(heeded=False)),
        (Executor((), success_event=False), Interrupt(heeded=False)),
        # What shows nothing: the end was near when it was asked, or there already, or never came.
        (Executor((), at_once=25), None),
        (Executor(at_once=STEPS * 2), None),
        (Executor((), lost=20), None),
    ],
)
def test_what_became_of_a_chain(executor: Executor, became: Interrupt | None) -> None:
    assert interrupt(executor, OURS, NOBODY) == became


@pytest.mark.parametrize("runs", [["other"], ["other", OURS]])
def test_nothing_is_interrupted_while_another_prompt_runs(runs: list[str]) -> None:
    executor = Executor(runs=runs)

    assert interrupt(executor, OURS, NOBODY) is None
    assert executor.asked == []


def test_frames_of_other_prompts_say_nothing_of_the_chain() -> None:
    executor = Executor()
    others = {"type": "execution_interrupted", "data": {"prompt_id": "other"}}
    executor.frames.extend([others, {"type": "crystools.monitor", "data": []}, {"type": "x"}])

    assert interrupt(executor, OURS, NOBODY) == Interrupt(heeded=True, aimed=True)


def test_the_chain_has_steps_that_change_something() -> None:
    graph = chain(7)
    heights = [one["inputs"].get("height") for one in graph.values()][:-1]

    assert len(graph) == STEPS + 2
    assert all(one != following for one, following in pairwise(heights[1:]))
