"""What is posted and said, in order -> prompts, each as far as it is known by now.

A prompt gets its number when the server accepts it, or when the first frame tells of it, which may
be before the answer to its POST (protocol.md section 4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.timeline.jobs import JobMessages, job_place, jobs_in, made_job
from comfyrec.timeline.model import (
    DELETED,
    BodyMessage,
    Exchange,
    Message,
    RecordedPrompt,
    Socket,
)
from comfyrec.timeline.prompt_story import PromptStory, PromptTelling, picture_of
from comfyrec.timeline.prompts import (
    OpenPrompt,
    complete,
    ends_of,
    fill,
    listed_ends_of,
    meant,
    queued_ids,
    removed_ids,
    submission,
)

__all__ = ["LivePrompt", "LivePrompts", "jobs_told"]

REMEMBERED_MAX: Final = 5_000
"""Prompts that are found by id when they are spoken of again."""
NAMED_MAX: Final = 500
"""Prompts that are over and whose nodes are still called by their classes."""
LEFT_US: Final = 1_000_000
"""So long after a prompt has left the executor, all its sockets have been told."""
ENDED_US: Final = 10_000_000
"""The same after its outcome, while the server writes the history."""


class LivePrompt:
    """One prompt, from its submission to its end."""

    def __init__(self, open_prompt: OpenPrompt) -> None:
        self.open = open_prompt
        self.number: int | None = None
        """None: it is not known whether the server takes it."""
        self.posted: tuple[int, int] | None = None
        """(place, time) of its POST."""
        self.listened = True
        """Whether its client listened when it posted."""
        self.traceparent = self.tracestate = ""
        """As its POST had them."""
        self.revision = 0
        """That of all prompts, when anything about it changed last."""
        self.over = False
        """Nothing more is expected of it."""
        self.telling: PromptTelling | None = None
        self._history: dict[str, Any] = {}
        self._story: PromptStory | None = None

    def recorded(self) -> RecordedPrompt:
        """What is known of it."""
        assert self.number is not None, "only prompts that are known are asked"
        return self.open.done(self.number)

    def story(self, start: int) -> PromptStory:
        """Its story as it stands now."""
        if self._story is None:
            recorded = self.recorded()
            telling = self.telling or PromptTelling(recorded)
            posted = None if self.posted is None else self.posted[1]
            self._story = telling.told(recorded, start, posted=posted, history=self._history)
        return self._story

    def moved(self, revision: int) -> None:
        """Something about it has changed."""
        self.revision = revision
        self._story = None

    def learned(self, entry: dict[str, Any]) -> None:
        """Its history entry was asked for."""
        complete(self.open, entry)
        self._history = {"status": entry.get("status")}

    def keep_the_story(self, start: int) -> None:
        """It is over: keep its story and no more."""
        self._story = msgspec.structs.replace(self.story(start), outputs={})
        self.telling = None
        self.open.graph, self.open.extra_data = _bare(self.open.graph), {}
        self.open.outputs, self.open.cached = {}, ()
        self._history = {}


def _bare(graph: dict[str, Any]) -> dict[str, Any]:
    """What is needed of a graph to call its nodes by name."""
    return {
        node_id: {"class_type": node.get("class_type"), "_meta": node.get("_meta")}
        for node_id, node in graph.items()
        if isinstance(node, dict)
    }


class LivePrompts:
    """All prompts of a recording, in the order of their numbers.

    Args:
        ended: called once with each prompt of which nothing more is expected.
        keep: whether the stories of all prompts stay, or only those of the latest.
    """

    def __init__(
        self, ended: Callable[[LivePrompt], None] | None = None, *, keep: bool = True
    ) -> None:
        self._keep = keep
        self.count = self.revision = 0
        self.all: dict[int, LivePrompt] = {}
        self.recorded: dict[int, RecordedPrompt] = {}
        """The same, as far as words need it; graphs of prompts that are over are dropped."""
        self.patches: list[tuple[int, int]] = []
        """(exchange, prompt) of requests that turned out to have made a prompt."""
        self._ended = ended
        self._by_id: dict[str, list[LivePrompt]] = {}
        self._waiting: dict[int, LivePrompt] = {}
        self._ending: LivePrompt | None = None
        self._under_way: dict[int, LivePrompt] = {}
        self._jobs: dict[str, JobMessages] = {}
        self._gone: dict[int, int] = {}
        self._named_still: deque[int] = deque()
        self.start = 0
        """Time of the first record."""

    def number_of(self, prompt_id: str) -> int | None:
        """The number of the latest prompt with this id."""
        same = self._by_id.get(prompt_id)
        return same[-1].number if same else None

    # --- HTTP ----------------------------------------------------------------------------------

    def posted(self, exchange: Exchange) -> LivePrompt | None:
        """A POST /prompt came; the prompt that it may become, without a number yet."""
        prompt = LivePrompt(OpenPrompt(prompt_id=""))
        fill(prompt.open, exchange)
        prompt.posted = exchange.request.at, exchange.request.t
        prompt.traceparent = exchange.request.header("traceparent").strip().lower()
        prompt.tracestate = exchange.request.header("tracestate").strip()
        self._waiting[exchange.number] = prompt
        return prompt

    def answered(self, exchange: Exchange) -> LivePrompt | None:
        """An answer came; the prompt or job that it accepts, if any."""
        if job_place(exchange.path) is not None:
            return self._job_answered(exchange)
        waited = self._waiting.pop(exchange.number, None)
        both = submission(exchange)
        if both is not None and waited is not None:
            return self._accepted(waited, both[1]["prompt_id"], exchange)
        for prompt_id, entry in ends_of(exchange):
            for prompt in self._by_id.get(prompt_id, ()):
                self._learned(prompt, entry)
        for prompt_id, entry in () if self._keep else listed_ends_of(exchange):
            for prompt in self._by_id.get(prompt_id, ()):
                self._learned(prompt, entry)
        queued = queued_ids(exchange)
        if queued is not None:
            self.queue_told(exchange.request.t, queued)
        self._removed(exchange)
        return None

    def unanswered(self, exchange: Exchange) -> None:
        """A request was cut before its answer; a prompt of it may run all the same."""

    def _accepted(self, waited: LivePrompt, prompt_id: str, exchange: Exchange) -> LivePrompt:
        """The server took a prompt, under this id; frames may have told of it already."""
        known = meant_of(self._by_id.get(prompt_id, []), exchange.request.at)
        if known is not None and known is not waited and known.posted is None:
            self._join(known, waited)
            waited = known
        elif waited.number is None:
            self._number(waited, prompt_id)
        number = exchange.response_json.get("number") if exchange.response_json else None
        waited.open.queue_number = number if isinstance(number, int | float) else None
        self._moved(waited)
        assert waited.number is not None, "it has just got one, or had one"
        recorded = self.recorded[waited.number] = waited.recorded()
        if waited.telling is not None:
            waited.telling.runs.prompt = recorded
        if self._keep:
            self.patches.append((exchange.number, waited.number))
        return waited

    def _join(self, known: LivePrompt, waited: LivePrompt) -> None:
        """Frames told of a prompt whose POST is only now known."""
        for name in ("client_id", "submitted", "submitted_at", "graph", "extra_data"):
            setattr(known.open, name, getattr(waited.open, name))
        known.posted, known.listened = waited.posted, waited.listened
        known.traceparent, known.tracestate = waited.traceparent, waited.tracestate

    def _moved(self, prompt: LivePrompt) -> None:
        self.revision += 1
        prompt.moved(self.revision)

    def _number(self, prompt: LivePrompt, prompt_id: str) -> None:
        self._moved(prompt)
        prompt.open.prompt_id = prompt_id
        prompt.number = self.count
        self.count += 1
        self.all[prompt.number] = prompt
        self.recorded[prompt.number] = prompt.recorded()
        self._under_way[prompt.number] = prompt
        self._by_id.setdefault(prompt_id, []).append(prompt)
        if len(self._by_id) > REMEMBERED_MAX:
            self._forget(self._by_id.pop(next(iter(self._by_id))))

    def _forget(self, same: list[LivePrompt]) -> None:
        for prompt in same if not self._keep else ():
            if prompt.over and prompt.number is not None:
                self.all.pop(prompt.number, None)
                self.recorded.pop(prompt.number, None)

    def _learned(self, prompt: LivePrompt, entry: dict[str, Any]) -> None:
        if prompt.over:
            return  # it was told to its end, and the history says nothing else
        prompt.learned(entry)
        self._moved(prompt)
        if prompt.telling is None:
            self._over(prompt)
        elif self._ending is None and prompt.open.outcome:
            self._ending = prompt  # frames of its last moment may still come

    def look_up(self, t: int, entry_of: Callable[[str], Mapping[str, Any] | None]) -> None:
        """Ask for the ends of prompts of which nothing was said lately.

        Args:
            t: it is this time.
            entry_of: gives the history entry of a prompt that is over.
        """
        for prompt in list(self._under_way.values()):
            posted = 0 if prompt.posted is None else prompt.posted[1]
            last = posted if prompt.telling is None else prompt.telling.last or posted
            entry = None if t - last <= LEFT_US else entry_of(prompt.open.prompt_id)
            if entry is not None:
                prompt.learned(dict(entry))
                self._over(prompt)

    def queue_told(self, t: int, ids: Collection[str] | None) -> None:
        """The server said what waits and runs.

        Where only the latest stories are kept, a prompt that is not among it is over after a
        while, though nobody asks what came of it.

        Args:
            t: when.
            ids: of these prompts; None: of some that it does not name.
        """
        if self._keep:
            return
        if ids is None:
            self._gone.clear()
            return
        for number, prompt in self._under_way.items():
            if prompt.open.prompt_id in ids:
                self._gone.pop(number, None)
            elif prompt.posted is not None and prompt.posted[1] < t:
                self._gone.setdefault(number, t)

    def _removed(self, exchange: Exchange) -> None:
        ids = removed_ids(exchange)
        if ids == ():
            return
        for prompt in list(self._under_way.values()):
            named = ids is None or prompt.open.prompt_id in ids
            if named and prompt.telling is None and prompt.open.pending:
                prompt.open.outcome = DELETED
                self._over(prompt)

    # --- frames --------------------------------------------------------------------------------

    def said(self, message: Message, socket: Socket | None) -> LivePrompt | None:
        """A text message of the server, or what an answer said (``socket`` None); the prompt that
        it names."""
        prompt_id = message.peek.prompt_id
        if prompt_id is None:
            remaining = message.peek.queue_remaining
            if remaining is not None:
                self.queue_told(message.t, None if remaining else ())
            return None
        prompt = meant_of(self._by_id.get(prompt_id, []), message.at)
        if prompt is None:
            prompt = self._guessed(prompt_id, message.at, socket)
        assert prompt.number is not None, "those that are found by id have one"
        if prompt.telling is None and not prompt.over:
            prompt.telling = PromptTelling(self.recorded[prompt.number])
        if prompt.telling is not None:
            prompt.open.saw(message)
            prompt.telling.about(message, None if socket is None else socket.number)
            self._moved(prompt)
            self._maybe_over(prompt)
        return prompt

    def _guessed(self, prompt_id: str, at: int, socket: Socket | None) -> LivePrompt:
        """A prompt that frames tell of; if a POST lacks its answer, it was most likely that one."""
        waiting = [p for p in self._waiting.values() if p.number is None]
        names = () if socket is None else (socket.sid, socket.client_id)
        own = [p for p in waiting if p.open.client_id in names]
        prompt = next(iter(own or waiting), None) or LivePrompt(OpenPrompt(prompt_id=prompt_id))
        self._number(prompt, prompt_id)
        return prompt

    def picture(self, message: Message, current: LivePrompt | None) -> None:
        """A binary message of the server."""
        whose, node = picture_of(message)
        if whose is None:
            return
        same = self._by_id.get(whose)
        prompt = same[-1] if same else current
        if prompt is not None and prompt.telling is not None:
            prompt.telling.picture(node)
            self._moved(prompt)

    # --- jobs of Comfy API v2 ------------------------------------------------------------------

    def _job_answered(self, exchange: Exchange) -> LivePrompt | None:
        response = exchange.response
        if response is None:
            return None
        made = made_job(exchange)
        prompt = self._made(made["id"], exchange) if made is not None else None
        for job in jobs_in(exchange):
            if job["id"] in self._by_id or "urls" in job:  # a list tells of other people's, too
                self._job_told(
                    job["id"], self._job(job["id"]).snapshot(job, response.at, response.t_end)
                )
        return prompt

    def _made(self, job_id: str, exchange: Exchange) -> LivePrompt:
        prompt = LivePrompt(OpenPrompt(prompt_id=job_id))
        fill(prompt.open, exchange)
        prompt.posted = exchange.request.at, exchange.request.t
        prompt.traceparent = exchange.request.header("traceparent").strip().lower()
        prompt.tracestate = exchange.request.header("tracestate").strip()
        self._number(prompt, job_id)
        assert exchange.response is not None, "it was answered"
        self._jobs[job_id] = JobMessages(job_id, exchange.response.t)
        if self._keep:
            self.patches.append((exchange.number, prompt.number or 0))
        return prompt

    def event(self, job_id: str, said: BodyMessage) -> LivePrompt | None:
        """A server-sent event of a job; the prompt that the job is."""
        message = said.message
        told = self._job(job_id).event(message.event, message.data, said.at, said.t)
        return self._job_told(job_id, told)

    def _job(self, job_id: str) -> JobMessages:
        if job_id not in self._jobs:
            self._jobs[job_id] = JobMessages(job_id)
            if len(self._jobs) > REMEMBERED_MAX:
                del self._jobs[next(iter(self._jobs))]
        return self._jobs[job_id]

    def _job_told(self, job_id: str, told: list[Message]) -> LivePrompt | None:
        if job_id not in self._by_id:
            self._number(LivePrompt(OpenPrompt(prompt_id=job_id)), job_id)
        prompt = self._by_id[job_id][-1]
        for message in told:
            if isinstance(message.data, bytes):
                self.picture(message, prompt)
            else:
                self.said(message, None)
        if self._jobs[job_id].removed and not prompt.over and not prompt.open.outcome:
            prompt.open.outcome = DELETED
            self._over(prompt)
        return prompt

    # --- ends ----------------------------------------------------------------------------------

    def _maybe_over(self, prompt: LivePrompt) -> None:
        """One whose outcome was said is over once another one is told of, or after a while."""
        if self._ending is not None and self._ending is not prompt:
            self._over(self._ending)
        self._ending = prompt if prompt.open.outcome and not prompt.over else None

    def settle(self, t: int) -> None:
        """It is this time, and nothing was said lately."""
        ending = self._ending
        if ending is not None and ending.telling is not None and ending.telling.last is not None:
            patience = LEFT_US if ending.open.over else ENDED_US
            if t - ending.telling.last > patience:
                self._over(ending)
        for number, since in list(self._gone.items()) if self._gone else ():
            if t - since > ENDED_US:
                self._over(self._under_way[number])

    def _over(self, prompt: LivePrompt) -> None:
        if self._ending is prompt:
            self._ending = None
        if prompt.over:
            return
        prompt.over = True
        self._moved(prompt)
        assert prompt.number is not None, "only prompts with a number end"
        self._under_way.pop(prompt.number, None)
        self._gone.pop(prompt.number, None)
        if self._ended is not None:
            self._ended(prompt)
        prompt.keep_the_story(self.start)
        if prompt.number in self.recorded:
            self.recorded[prompt.number] = RecordedPrompt(
                prompt.number, prompt.open.prompt_id, graph=prompt.open.graph
            )
            self._named_still.append(prompt.number)
            if len(self._named_still) > NAMED_MAX:
                self._drop_names(self._named_still.popleft())

    def _drop_names(self, number: int) -> None:
        """Nobody speaks of this prompt any more: its nodes need no names."""
        if number in self.recorded:
            self.recorded[number] = RecordedPrompt(number, self.recorded[number].prompt_id)
            self.all[number].open.graph = {}

    def finish(self) -> None:
        """The recording is over."""
        for prompt in list(self._under_way.values()):
            self._over(prompt)

    # --- for others ----------------------------------------------------------------------------

    @property
    def under_way(self) -> int:
        """How many are accepted and have not ended."""
        return len(self._under_way)

    @property
    def busy(self) -> bool:
        """Whether any was posted and has not ended."""
        return bool(self._waiting) or any(
            not prompt.open.outcome for prompt in self._under_way.values()
        )

    def going_on(self) -> str:
        """What goes on now, as in ``KSampler 3 ran``."""
        waits = ""
        for prompt in self._under_way.values():
            running = None if prompt.telling is None else prompt.telling.runs.running_name()
            if running:
                return f"{running} ran"
            if not waits and prompt.open.started_at is None and not prompt.open.outcome:
                waits = f"prompt {prompt.open.prompt_id[:8]} waited"
        return waits

    def stories(self, start: int) -> tuple[PromptStory, ...]:
        """The stories of all, as they stand now."""
        return tuple(prompt.story(start) for prompt in self.all.values())


def meant_of(same: list[LivePrompt], at: int) -> LivePrompt | None:
    """Which prompt of one id is spoken of at this place."""
    if len(same) == 1:
        return same[0]
    found = meant([prompt.open for prompt in same], at)
    return next((prompt for prompt in same if prompt.open is found), None)


def jobs_told(
    exchanges: Sequence[Exchange], *, first: int, start: int
) -> tuple[tuple[RecordedPrompt, PromptStory], ...]:
    """The jobs of Comfy API v2 in a whole recording, and what became of each.

    Args:
        exchanges: of the recording.
        first: number of the first.
        start: time of the first record.
    """
    heard: list[tuple[int, int, Exchange, BodyMessage | None]] = []
    for exchange in exchanges:
        place = job_place(exchange.path)
        if place is None or exchange.response is None:
            continue
        heard.append((exchange.response.at, exchange.response.t_end, exchange, None))
        if place.part == "events":
            heard += [(said.at, said.t, exchange, said) for said in exchange.response.said]
    if not heard:
        return ()
    heard.sort(key=lambda one: one[0])
    found: dict[int, tuple[RecordedPrompt, PromptStory]] = {}

    def ended(prompt: LivePrompt) -> None:
        assert prompt.number is not None, "only prompts with a number end"
        found[prompt.number] = prompt.recorded(), prompt.story(start)

    prompts = LivePrompts(ended)
    prompts.count = first
    for _, t, exchange, said in heard:
        prompts.settle(t)
        place = job_place(exchange.path)
        if said is None:
            prompts.answered(exchange)
        elif place is not None:
            prompts.event(place.job_id, said)
    prompts.finish()
    return tuple(found[number] for number in sorted(found))
