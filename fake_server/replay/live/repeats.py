"""Prompts that are played again: asked for more often, or at other times, than when recorded.

They are played one after the other, each by itself and from its own beginning, while nothing of the
script runs; the script stands still meanwhile, as a real queue does for a prompt in front.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fake_server.replay.live.cursor import PATIENCE_US
from fake_server.replay.live.live_state import Cast, Live, Stage
from fake_server.replay.live.messages import Lines
from fake_server.replay.recording.steps import Kind, NeedKind, Script, Step
from fake_server.source import Action, Send, WaitRealTime, Wake

__all__ = ["Encores"]

QUEUED_US: Final = 10_000
"""A prompt that is played again stays no longer in the queue, however long it did when recorded."""


class _Encore(msgspec.Struct, eq=False):
    live: Live
    steps: list[tuple[int, Step]]
    """(microseconds since it began, step)."""
    broadcasts: int
    """The recorded socket whose frames stand for everybody's, where all got them; -1: none."""
    at: int = 0
    base: int | None = None
    stopped: bool = False
    token: int = -1


class Encores:
    """The queue of prompts that are played again."""

    def __init__(
        self, script: Script, lines: Lines, cast: Cast, *, token: Callable[[], int]
    ) -> None:
        self._script, self._lines, self._cast, self._token = script, lines, cast, token
        self._queue: deque[_Encore] = deque()

    @property
    def have_their_turn(self) -> bool:
        """Whether one is being played, or the prompt that came first is one."""
        while self._queue and self._queue[0].live.strays:
            self._queue.popleft()
        if not self._queue:
            return False
        first = next(iter(self._cast.waiting), None)
        return self._queue[0].base is not None or first is self._queue[0].live

    @property
    def waiting(self) -> int:
        """Prompts in the queue that the recording did not have."""
        return sum(encore.live.waits for encore in self._queue)

    def add(self, live: Live) -> Iterator[Action]:
        """Play a recorded prompt again."""
        live.stage = Stage.PENDING
        steps = list(self._steps(live.prompt.number))
        sends = [step.index for _, step in steps if step.kind is Kind.SEND]
        self._queue.append(_Encore(live, steps, min(sends, default=-1)))
        yield from self._cast.tell_remaining()

    def stop(self) -> bool:
        """The interrupt has come that ended the first one when recorded; False: it had none."""
        encore = self._queue[0] if self._queue else None
        if encore is None or not any(step.kind is Kind.NEED for _, step in encore.steps):
            return False
        encore.stopped = True
        return True

    def lingered(self, token: int) -> bool:
        """The interrupt does not come; False when the token is not ours."""
        encore = self._queue[0] if self._queue else None
        if encore is None or encore.token != token:
            return False
        encore.stopped = True
        return True

    def _steps(self, prompt: int) -> Iterator[tuple[int, Step]]:
        """Its steps, with the interrupt that ended it, from its submission on."""
        script = self._script
        steps = [script.steps[number] for number in script.owned.get(prompt, ())]
        stopped_by = script.lives[prompt].interrupted_by
        steps += [
            script.steps[script.step_of[need.number]]
            for need in script.needs
            if need.kind is NeedKind.CONTROL and need.exchange == stopped_by
        ]
        steps.sort(key=lambda step: (step.place, step.kind))
        need = script.need_of_prompt.get(prompt)
        submitted = script.steps[script.step_of[need.number]].due if need else 0
        started = next((s.due for s in steps if s.kind is Kind.STARTED), submitted)
        queued = min(max(started - submitted, 0), QUEUED_US)
        for step in steps:
            in_queue = min(max(step.due - submitted, 0), queued)
            yield in_queue + max(step.due - started, 0), step

    def advance(self, now: int) -> Iterator[Action]:
        """Play what is due."""
        while self._queue:
            encore = self._queue[0]
            if encore.base is None:
                encore.base = now
            if encore.at == len(encore.steps) or encore.live.strays:
                self._queue.popleft()
                encore.live.stage = max(encore.live.stage, Stage.OVER)
                continue
            offset, step = encore.steps[encore.at]
            if step.kind is Kind.NEED and not encore.stopped:
                if encore.base + offset <= now and encore.token < 0:
                    encore.token = self._token()
                    yield WaitRealTime(encore.token, PATIENCE_US)
                elif encore.base + offset > now:
                    yield Wake(encore.base + offset)
                return
            if encore.base + offset > now and not self._is_cut_short(encore):
                yield Wake(encore.base + offset)
                return
            encore.at += 1
            yield from self._play(encore, step, now)

    def _is_cut_short(self, encore: _Encore) -> bool:
        """Stopped before the recorded moment: what comes before that is not played at its pace."""
        rest = encore.steps[encore.at :]
        return encore.stopped and any(step.kind is Kind.NEED for _, step in rest)

    def _play(self, encore: _Encore, step: Step, now: int) -> Iterator[Action]:
        if step.kind is Kind.SEND:
            yield from self._send(encore, step)
        elif step.kind is Kind.NEED:
            offset, _ = encore.steps[encore.at - 1]
            encore.base = now - offset
        else:
            yield from self._cast.mark(encore.live, step.kind, tell=True)

    def _send(self, encore: _Encore, step: Step) -> Iterator[Action]:
        live = encore.live
        told = self._script.timeline.sockets[step.index].messages[step.part].told
        if told.type == "executing":
            live.runs(told.node)
        targets = self._targets(encore, step) if told.queue_remaining is None else ()
        for target in targets:
            yield Send((target,), self._message(encore, step, target))

    def _message(self, encore: _Encore, step: Step, target: int) -> str | bytes:
        live, recorded = encore.live, encore.live.prompt.prompt_id
        return self._lines.for_client(
            step.index,
            step.part,
            lambda i: live.live_id if i == recorded else self._cast.renamed(i),
            described=self._cast.sockets[target].described,
            about=live,
        )

    def _targets(self, encore: _Encore, step: Step) -> tuple[int, ...]:
        client = encore.live.prompt.client_id
        if client is None:
            return tuple(self._cast.sockets) if step.index == encore.broadcasts else ()
        if self._script.role_of_socket[step.index].name != client:
            heard = self._cast.hears(step.index)
        else:
            heard = self._cast.newest(encore.live.client)
        return () if heard is None else (heard,)
