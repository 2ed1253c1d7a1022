"""Where a play-through stands in its script: a step waits for its time, a need for the client.

Between needs the recorded distances hold, counted from the last need that was met, so that nothing
adds up. A live client is not the recorded one, so needs give way:

* A need of a client that nobody plays (a recording of two, a replay of one) is taken as met.
* A client that does something that was recorded later has left out what it did not do before: its
  flags, its interrupts, its second socket, prompts that would have been over by then.
* While a live prompt is held up by something that does not come, the wait has an end.

A prompt that was left out takes its frames along. From then on the lengths of the queue are told as
they are, not as they were.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator
from typing import Final

from fake_server.replay.live.live_state import LivePrompt, LiveState, Stage
from fake_server.replay.live.messages import RecordedMessages
from fake_server.replay.recorded.recorded_answers import END
from fake_server.replay.recorded.steps import (
    EndStep,
    Mark,
    Need,
    NeedKind,
    NeedStep,
    PingStep,
    Script,
    SendStep,
    Step,
)
from fake_server.source import Abort, Action, Close, Send, SendPing, WaitRealTime, Wake

__all__ = ["ABSENT_US", "PATIENCE_US", "Cursor"]

PATIENCE_US: Final = 1_000_000
"""Real time that a live prompt is held up for a request that the recorded client made by then."""
ABSENT_US: Final = 300_000
"""The same for a client that has not shown itself at all."""


Going = Generator[Action, None, bool]
"""Actions, and in the end whether to go on with the next step."""


class Cursor:
    """Where a play-through stands in its script.

    Args:
        script: what is played.
        messages: its messages.
        live_state: who plays it.

    Attributes:
        position: the next step.
        at: virtual time that the script has come to.
        over: the server is gone, as it was in the recording.
        missed: interrupts and deletions that did not come and are taken as done.
    """

    def __init__(
        self,
        script: Script,
        messages: RecordedMessages,
        live_state: LiveState,
    ) -> None:
        self._script, self._messages, self._live_state = script, messages, live_state
        self.at = 0
        self.over = False
        self.missed: list[Need] = []
        self.position = 0
        self._base: int | None = None
        self._met: dict[int, int] = {}
        self._waived: set[int] = set()
        self._absent: set[int] = set()
        self._replied: set[SendStep] = set()
        self._left_out: set[int] = set()
        self._wait: tuple[int, int, int] | None = None

    # --- telling -------------------------------------------------------------------------------

    @property
    def begun(self) -> int | None:
        """The virtual time at which the script began, as its pace is now; None: it has not."""
        return self._base

    @property
    def finished(self) -> bool:
        """Whether the script is at its end."""
        return self.position == len(self._script.steps)

    @property
    def place(self) -> tuple[int, int]:
        """(the last place of the recording that lies behind, the next one)."""
        steps, position = self._script.steps, self.position
        behind = steps[position - 1].place[0] if position else -1
        return behind, END if self.finished else steps[position].place[0]

    @property
    def diverged(self) -> bool:
        """Whether the queue is not the recorded one: prompts were left out, or added."""
        return bool(self._left_out) or any(live.again for live in self._live_state.waiting)

    def passed(self, need: Need) -> bool:
        """Whether nobody waits for it any more."""
        return need.number in self._waived or need.step < self.position

    def is_met(self, need: Need) -> bool:
        """Whether a live client did it."""
        return need.number in self._met

    def is_open(self, need: Need) -> bool:
        """Whether a live client can still meet it."""
        return need.number not in self._met and not self.passed(need)

    @property
    def next_need(self) -> Need | None:
        """The need that the script waits for just now."""
        step = None if self.finished else self._script.steps[self.position]
        return step.need if isinstance(step, NeedStep) else None

    def is_at(self, need: Need) -> bool:
        """Whether nothing that a client sees comes before it."""
        between = self._script.steps[self.position : need.step]
        return not self.passed(need) and all(isinstance(step, Mark) for step in between)

    def is_on_time(self, need: Need, now: int) -> bool:
        """Whether the script goes on behind a need at once, now that it was met."""
        if not self.is_at(need):
            return False
        step = self._script.steps[need.step]
        return self._moment(need, now if self._base is None else self._base + step.due) <= now

    def is_absent(self, role: int) -> bool:
        """Whether nobody plays it, and nobody is waited for."""
        return role in self._absent

    # --- needs ---------------------------------------------------------------------------------

    def meet(self, need: Need, now: int) -> None:
        """A live client did what a need waits for; ``advance`` says what follows."""
        self._met[need.number] = now
        # Needs that lie behind are passed; a long recording has many.
        first = bisect_left(self._script.needs, self.position, key=_step_of)
        for earlier in self._script.needs[first : need.number]:
            if self.is_open(earlier) and self._is_left_out(earlier, need):
                self._waived.add(earlier.number)
        if self._base is not None and self._hastens(need):
            due = self._script.steps[need.step].due
            self._base = min(self._base, now - due)

    def _is_left_out(self, earlier: Need, met: Need) -> bool:
        if earlier.role in (met.role, None):
            return self._can_be_left_out(earlier, met)
        return not self._live_state.is_here(earlier.role) and self._had_left(earlier.role, met)

    def _had_left(self, role: int, met: Need) -> bool:
        """Whether a recorded client was gone, with all its prompts, when another did something."""
        recorded, place = self._script.roles[role], met.place
        sockets = [self._script.timeline.sockets[number] for number in recorded.sockets]
        ends = [self._script.lifecycles[number].ended for number in recorded.prompts]
        closed = all(s.closing is not None and s.closing.at < place[0] for s in sockets)
        return closed and all(end is not None and end < place for end in ends)

    def _hastens(self, need: Need) -> bool:
        """Whether what comes before a need is not played at the recorded pace, now that it is met.

        A control puts an end to what would come. And when a prompt ended that nobody was told of is
        known only from the next greeting, so it is over by then.
        """
        return self.is_at(need) if need.kind is NeedKind.CONNECT else need.kind is NeedKind.CONTROL

    def _can_be_left_out(self, need: Need, met: Need) -> bool:
        """Clients do things in their order: what this one has not done before, it does not do."""
        if need.kind is NeedKind.SUBMIT:
            ended = self._script.lifecycles[need.prompt].ended
            return ended is not None and ended < met.place
        if need.kind is NeedKind.CONNECT:
            role = self._script.role_of_socket[need.socket]
            return need.socket != role.sockets[0] and self._live_state.is_here(role.number)
        return need.kind is NeedKind.MESSAGE or met.kind is NeedKind.SUBMIT

    def replies_early(self, need: Need) -> list[SendStep]:
        """The immediate answers of a need that was met before the script came to it.

        They are the caller's to give now, and are left out later.
        """
        if need.step < self.position:
            return []
        replies = self._script.replies.get(need, ())
        self._replied.update(replies)
        return list(replies)

    def wait_ended(self, token: int) -> bool:
        """The wait for a need has an end; False when the token is not ours."""
        if self._wait is None or self._wait[0] != token:
            return False
        _, number, _ = self._wait
        self._wait = None
        need = self._script.needs[number]
        if self.is_open(need):
            if need.role is not None and self._live_state.is_gone(need.role):
                self._absent.add(need.role)
            else:
                self._waived.add(number)
                if need.kind is NeedKind.CONTROL:
                    self.missed.append(need)
        return True

    # --- going on ------------------------------------------------------------------------------

    def advance(self, now: int) -> Iterator[Action]:
        """Do all that is due, and say when to go on."""
        steps = self._script.steps
        while self.position < len(steps):
            step = steps[self.position]
            going_on = yield from self._step(step, now)
            if not going_on:
                return

    def _step(self, step: Step, now: int) -> Going:
        if isinstance(step, NeedStep):
            need = step.need
            crossed = yield from self._cross(need, step, now)
            if crossed:
                self.position += 1
                yield from self._crossed(need)
            return crossed
        if not self._is_played(step):
            self.position += 1
            return True
        due = self._due(step, now)
        if due > now:
            yield Wake(due)
            return False
        self.at = due
        self.position += 1
        yield from self._perform(step)
        return True

    def _due(self, step: Step, now: int) -> int:
        if self._base is None:
            self._base = now - step.due
        return self._base + step.due

    def _is_played(self, step: Step) -> bool:
        """Whether anything comes of it; what does not is not waited for."""
        if step.owner in self._left_out or step in self._replied:
            return False
        reply_to = step.reply_to if isinstance(step, SendStep) else None
        return reply_to is None or reply_to.number in self._met

    def _cross(self, need: Need, step: Step, now: int) -> Going:
        expected = now if self._base is None else self._base + step.due
        if need.number in self._met:
            moment = self._moment(need, expected)
        elif need.number in self._waived:
            return True
        elif need.role in self._absent:
            moment = expected
        else:
            yield from self._wait_for(need, expected, now)
            return False
        if moment > now:
            yield Wake(moment)
            return False
        self._base, self.at = moment - step.due, moment
        return True

    def _moment(self, need: Need, expected: int) -> int:
        """When the script goes on behind a need that was met.

        While a prompt runs the server is busy with it, and what a client does early does not make
        it faster. When nothing runs, the recorded pause was the client's own.
        """
        busy = need.kind is not NeedKind.CONTROL and self._live_state.busy
        return max(self._met[need.number], expected if busy else self.at)

    def _wait_for(self, need: Need, expected: int, now: int) -> Iterator[Action]:
        """Wait; with an end when somebody is held up, or when nobody will ever come."""
        held_up = self._live_state.remaining > 0
        absent = need.role is not None and not self._live_state.is_here(need.role)
        if not held_up and not (absent and self._live_state.is_awaited_by_others(need.place[0])):
            return
        if expected > now:
            # It may come at its recorded time.
            yield Wake(expected)
            return
        unseen = need.role is not None and not self._live_state.is_played(need.role)
        real_us = ABSENT_US if unseen and held_up else PATIENCE_US
        if self._wait is not None and self._wait[1:] == (need.number, real_us):
            return
        token = self._live_state.new_token()
        self._wait = token, need.number, real_us
        yield WaitRealTime(token, real_us)

    def _crossed(self, need: Need) -> Iterator[Action]:
        before = self._queued()
        if need.kind is NeedKind.SUBMIT:
            self._enqueue(need)
        for number in need.cancelled:
            self._taken_off(number, need)
        if self.diverged and self._queued() != before:
            yield from self._live_state.tell_remaining()

    def _queued(self) -> int:
        """How many prompts the script has come to that wait or run."""
        return sum(live.stage is not Stage.EARLY for live in self._live_state.waiting)

    def _enqueue(self, need: Need) -> None:
        live = self._live_state.main.get(need.prompt)
        if live is not None and live.stage is Stage.EARLY:
            live.stage = Stage.PENDING
        elif live is None and need.number not in self._waived:
            self._enqueue_for_absent(need)
        else:
            # Not submitted, or taken off the queue before the script came to it.
            self.leave_out(need.prompt)

    def _enqueue_for_absent(self, need: Need) -> None:
        prompt = self._script.timeline.prompts[need.prompt]
        self._live_state.enlist(
            LivePrompt(
                prompt=prompt,
                live_id=self._live_state.mint(prompt.prompt_id),
                token=prompt.number,
                client=prompt.client_id,
                number=prompt.queue_number,
                stage=Stage.PENDING,
            )
        )

    def _taken_off(self, prompt: int, need: Need) -> None:
        if self._script.lifecycles[prompt].deleted_by != need.exchange:
            return
        live = self._live_state.main.get(prompt)
        if live is not None and live.waits:
            live.stage = Stage.REMOVED

    def leave_out(self, prompt: int) -> None:
        """What is left of a prompt is not played."""
        self._left_out.add(prompt)

    # --- steps ---------------------------------------------------------------------------------

    def _perform(self, step: Step) -> Iterator[Action]:
        match step:
            case SendStep():
                yield from self._send(step)
            case PingStep():
                target = self._live_state.socket_playing(step.socket)
                if target is not None:
                    yield SendPing(target, step.payload)
            case EndStep():
                yield from self._end(step)
            case Mark():
                live = self._live_state.main.get(step.prompt)
                if live is not None:
                    yield from self._live_state.mark(live, step.kind, tell=self.diverged)

    def _send(self, step: SendStep) -> Iterator[Action]:
        peek = step.message.peek
        live = None if step.owner is None else self._live_state.main.get(step.owner)
        if peek.type == "executing" and live is not None:
            live.runs(live.live_node(peek.node))
        target = self._live_state.socket_playing(step.socket)
        of_queue = peek.queue_remaining is not None and step.reply_to is None
        if target is None or (of_queue and self.diverged):
            return
        if live is not None and not live.shows(peek.node):
            return
        message = self._messages.for_client(
            step,
            self._live_state.renamed,
            described=self._live_state.sockets[target].described,
            about=live,
        )
        yield Send((target,), message)

    def _end(self, step: EndStep) -> Iterator[Action]:
        target = self._live_state.socket_playing(step.socket)
        if target is None:
            return
        if step.closing.clean:
            yield Close(target, step.closing.code, step.closing.reason)
        else:
            self.over = not any(self.is_open(need) for need in self._script.needs)
            yield Abort(target)


def _step_of(need: Need) -> int:
    return need.step
