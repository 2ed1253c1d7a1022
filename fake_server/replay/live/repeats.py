"""Prompts that are played again: asked for more often, or at other times, than when recorded.

They are played one after the other, each by itself and from its own beginning, while nothing of the
script runs; the script stands still meanwhile, as a real queue does for a prompt in front.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from fake_server.replay.live.cursor import PATIENCE_US
from fake_server.replay.live.live_state import LivePrompt, LiveState, Stage
from fake_server.replay.live.messages import RecordedMessages
from fake_server.replay.recorded.steps import (
    Mark,
    MarkKind,
    Need,
    NeedKind,
    NeedStep,
    Script,
    SendStep,
    Step,
)
from fake_server.source import Action, Send, WaitRealTime, Wake

__all__ = ["Repeats"]

QUEUED_US: Final = 10_000
"""A prompt that is played again stays no longer in the queue, however long it did when recorded."""


class _Repeat(msgspec.Struct, eq=False):
    live: LivePrompt
    steps: list[tuple[int, Step]]
    """(microseconds since it began, step)."""
    broadcasts: int
    """The recorded socket whose frames stand for everybody's, where all got them; -1: none."""
    at: int = 0
    base: int | None = None
    stopped: bool = False
    token: int = -1


class Repeats:
    """The queue of prompts that are played again."""

    def __init__(
        self,
        script: Script,
        messages: RecordedMessages,
        live_state: LiveState,
    ) -> None:
        self._script, self._messages, self._live_state = script, messages, live_state
        self._queue: deque[_Repeat] = deque()
        self.missed: list[Need] = []
        """Interrupts that did not come and are taken as done."""

    @property
    def have_their_turn(self) -> bool:
        """Whether one is being played, or the prompt that came first is one."""
        while self._queue and self._queue[0].live.diverged:
            self._queue.popleft()
        if not self._queue:
            return False
        first = next(iter(self._live_state.waiting), None)
        return self._queue[0].base is not None or first is self._queue[0].live

    def add(self, live: LivePrompt) -> Iterator[Action]:
        """Play a recorded prompt again."""
        live.stage = Stage.PENDING
        steps = list(self._steps(live.prompt.number))
        sends = [step.socket.number for _, step in steps if isinstance(step, SendStep)]
        self._queue.append(_Repeat(live, steps, min(sends, default=-1)))
        yield from self._live_state.tell_remaining()

    def stop(self) -> bool:
        """The interrupt has come that ended the first one when recorded; False: it had none."""
        repeat = self._queue[0] if self._queue else None
        if repeat is None or not any(isinstance(step, NeedStep) for _, step in repeat.steps):
            return False
        repeat.stopped = True
        return True

    def wait_ended(self, token: int) -> bool:
        """The interrupt does not come; False when the token is not ours."""
        repeat = self._queue[0] if self._queue else None
        if repeat is None or repeat.token != token:
            return False
        repeat.stopped = True
        self.missed += [step.need for _, step in repeat.steps if isinstance(step, NeedStep)]
        return True

    def _steps(self, prompt: int) -> Iterator[tuple[int, Step]]:
        """Its steps, with the interrupt that ended it, from its submission on."""
        script = self._script
        steps = list(script.owned.get(prompt, ()))
        stopped_by = script.lifecycles[prompt].interrupted_by
        steps += [
            script.steps[need.step]
            for need in script.needs
            if need.kind is NeedKind.CONTROL and need.exchange == stopped_by
        ]
        steps.sort(key=lambda step: (step.place, step.rank))
        need = script.need_of_prompt.get(prompt)
        submitted = script.steps[need.step].due if need else 0
        started = next((step.due for step in steps if _starts(step)), submitted)
        queued = min(max(started - submitted, 0), QUEUED_US)
        for step in steps:
            in_queue = min(max(step.due - submitted, 0), queued)
            yield in_queue + max(step.due - started, 0), step

    def advance(self, now: int) -> Iterator[Action]:
        """Play what is due."""
        while self._queue:
            repeat = self._queue[0]
            if repeat.base is None:
                repeat.base = now
            if repeat.at == len(repeat.steps) or repeat.live.diverged:
                self._queue.popleft()
                repeat.live.stage = max(repeat.live.stage, Stage.OVER)
                continue
            offset, step = repeat.steps[repeat.at]
            if isinstance(step, NeedStep) and not repeat.stopped:
                if repeat.base + offset <= now and repeat.token < 0:
                    repeat.token = self._live_state.new_token()
                    yield WaitRealTime(repeat.token, PATIENCE_US)
                elif repeat.base + offset > now:
                    yield Wake(repeat.base + offset)
                return
            if repeat.base + offset > now and not self._is_cut_short(repeat):
                yield Wake(repeat.base + offset)
                return
            repeat.at += 1
            yield from self._play(repeat, step, now)

    def _is_cut_short(self, repeat: _Repeat) -> bool:
        """Stopped before the recorded moment: what comes before that is not played at its pace."""
        rest = repeat.steps[repeat.at :]
        return repeat.stopped and any(isinstance(step, NeedStep) for _, step in rest)

    def _play(self, repeat: _Repeat, step: Step, now: int) -> Iterator[Action]:
        match step:
            case SendStep():
                yield from self._send(repeat, step)
            case NeedStep():
                offset, _ = repeat.steps[repeat.at - 1]
                repeat.base = now - offset
            case Mark():
                yield from self._live_state.mark(repeat.live, step.kind, tell=True)

    def _send(self, repeat: _Repeat, step: SendStep) -> Iterator[Action]:
        live, peek = repeat.live, step.message.peek
        if peek.type == "executing":
            live.runs(live.live_node(peek.node))
        told = peek.queue_remaining is None and live.shows(peek.node)
        targets = self._targets(repeat, step) if told else ()
        for target in targets:
            yield Send((target,), self._message(repeat, step, target))

    def _message(self, repeat: _Repeat, step: SendStep, target: int) -> str | bytes:
        live, recorded = repeat.live, repeat.live.prompt.prompt_id
        return self._messages.for_client(
            step,
            lambda i: live.live_id if i == recorded else self._live_state.renamed(i),
            described=self._live_state.sockets[target].described,
            about=live,
        )

    def _targets(self, repeat: _Repeat, step: SendStep) -> tuple[int, ...]:
        client = repeat.live.prompt.client_id
        if client is None:
            broadcasts = step.socket.number == repeat.broadcasts
            return tuple(self._live_state.sockets) if broadcasts else ()
        if self._script.role_of_socket[step.socket.number].name != client:
            heard = self._live_state.socket_playing(step.socket)
        else:
            heard = self._live_state.newest(repeat.live.client)
        return () if heard is None else (heard,)


def _starts(step: Step) -> bool:
    return isinstance(step, Mark) and step.kind is MarkKind.STARTED
