"""timeline -> what recorded answers show of each prompt, and when: waiting, in the history, gone.

A client that listens on no socket asks: /history, /queue, /api/jobs, /prompt. What it was told says
between which two questions a prompt came to its end, and no more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from comfyrec.timeline import Exchange, RecordedPrompt, Timeline

__all__ = [
    "Moments",
    "Sighting",
    "count_waiting",
    "forgotten_ids",
    "queue_shown",
    "sightings_of",
]

_WAITING: Final = frozenset(("pending", "in_progress"))
_OVER: Final = frozenset(("completed", "failed", "cancelled", "error"))


class Sighting(msgspec.Struct):
    """What answers show of one prompt id; each field is the place of a question."""

    absent: int = -1
    """The last one that did not find it in the history, before one did."""
    present: int | None = None
    """The first one that found it there."""
    pending: int = -1
    """The last one that found it waiting for its turn."""
    waiting: int = -1
    """The last one that found it waiting or running."""
    gone: int | None = None
    """The first one that found it neither waiting nor running, when it had been submitted."""
    forgotten: int | None = None
    """The first request that took its entry, if it had one by then, out of the history."""
    missed: int = -1
    """The last one behind that which did not find it in the history: that says nothing of when it
    was over, but that it was over before it was forgotten or is not over yet."""

    @property
    def over(self) -> int | None:
        """By when it was over."""
        known = [at for at in (self.present, self.gone) if at is not None]
        if self.forgotten is not None and self.gone is not None and self.gone < self.missed:
            known.append(self.forgotten)
        return min(known, default=None)

    def in_history(self, at: int, *, found: bool) -> None:
        """A question for its history entry."""
        if self.present is not None:
            return
        if found:
            self.present = at
        elif self.forgotten is None:
            self.absent = at
        else:
            self.missed = at

    def forget(self, at: int) -> None:
        """A request to take its entry out of the history."""
        if self.present is None and self.forgotten is None:
            self.forgotten = at

    def in_queue(self, at: int, *, pending: bool) -> None:
        """A question that found it there."""
        if self.gone is None:
            self.waiting = at
            if pending:
                self.pending = at

    def not_in_queue(self, at: int) -> None:
        """A question that did not find it any more."""
        if self.gone is None:
            self.gone = at


def queue_shown(exchange: Exchange) -> tuple[list[str], list[str]] | None:
    """The ids that an answer of GET /queue shows as running and as pending; None: it shows none."""
    answer = exchange.response_json if exchange.path == "/queue" else None
    if not _is_answered(exchange) or not isinstance(answer, dict):
        return None
    return _ids(answer.get("queue_running")), _ids(answer.get("queue_pending"))


def _ids(items: Any) -> list[str]:
    items = items if isinstance(items, list) else []
    return [i[1] for i in items if isinstance(i, list) and len(i) > 1 and isinstance(i[1], str)]


def sightings_of(timeline: Timeline) -> dict[str, Sighting]:
    """Prompt id -> what was seen of it."""
    return _Looking(timeline).found


class _Looking:
    def __init__(self, timeline: Timeline) -> None:
        self.found: dict[str, Sighting] = {}
        self._queued = _Submitted(timeline)
        self._unheard = _Submitted(timeline)
        self._begun = _Submitted(timeline)
        for exchange in timeline.exchanges:
            if _is_answered(exchange):
                self._look(exchange, exchange.request.at)
            elif exchange.method == "POST" and exchange.path == "/history":
                self._forget(exchange, exchange.request.at)

    def _of(self, prompt_id: str) -> Sighting:
        return self.found.setdefault(prompt_id, Sighting())

    def _look(self, exchange: Exchange, at: int) -> None:
        first, _, rest = exchange.path[1:].partition("/")
        answer = exchange.response_json if first in ("history", "queue", "jobs") else None
        if not isinstance(answer, dict):
            return
        if first == "history" and rest:
            self._of(rest).in_history(at, found=bool(answer))
        elif first == "history":
            self._history(answer, at, whole=_is_whole(exchange, len(answer)))
        elif first == "jobs":
            for job in _jobs(answer, alone=bool(rest)):
                self._job(job["id"], job.get("status"), at)
        elif (shown := queue_shown(exchange)) is not None:
            self._queue(*shown, at)

    def _history(self, answer: Mapping[str, Any], at: int, *, whole: bool) -> None:
        for prompt_id in answer:
            self._of(prompt_id).in_history(at, found=True)
        for prompt in self._unheard.before(at):
            if prompt.prompt_id in answer:
                self._unheard.forget(prompt)
            elif whole:
                self._of(prompt.prompt_id).in_history(at, found=False)

    def _forget(self, exchange: Exchange, at: int) -> None:
        ids = forgotten_ids(exchange.request_json) if exchange.status == 200 else frozenset()
        for prompt in self._begun.before(at):
            if ids is None or prompt.prompt_id in ids:
                self._of(prompt.prompt_id).forget(at)

    def _job(self, prompt_id: str, status: Any, at: int) -> None:
        if status in _WAITING:
            self._of(prompt_id).in_queue(at, pending=status == "pending")
        elif status in _OVER:
            self._of(prompt_id).in_history(at, found=True)

    def _queue(self, running: list[str], pending: list[str], at: int) -> None:
        for prompt_id in (*running, *pending):
            self._of(prompt_id).in_queue(at, pending=prompt_id in pending)
        shown = {*running, *pending}
        for prompt in self._queued.before(at):
            if prompt.prompt_id not in shown:
                self._of(prompt.prompt_id).not_in_queue(at)
                self._queued.forget(prompt)


def forgotten_ids(body: Any) -> frozenset[str] | None:
    """Which entries a POST /history takes out of the history; None: all."""
    body = body if isinstance(body, dict) else {}
    if body.get("clear"):
        return None
    ids = body.get("delete")
    return frozenset(i for i in ids if isinstance(i, str)) if isinstance(ids, list) else frozenset()


def _is_answered(exchange: Exchange) -> bool:
    return exchange.method == "GET" and exchange.status == 200


def _is_whole(exchange: Exchange, entries: int) -> bool:
    """Whether an answer of GET /history holds all that there was."""
    asked = dict(exchange.asked.parts.pairs)
    most = asked.get("max_items", "")
    return "offset" not in asked and (not most or (most.isdecimal() and entries < int(most)))


def _jobs(answer: Mapping[str, Any], *, alone: bool) -> Iterator[dict[str, Any]]:
    jobs = [answer] if alone else answer.get("jobs")
    for job in jobs if isinstance(jobs, list) else ():
        if isinstance(job, dict) and isinstance(job.get("id"), str):
            yield job


class _Submitted:
    """The prompts that were submitted and are not known to be gone; places are asked in order."""

    def __init__(self, timeline: Timeline) -> None:
        counts = Counter(prompt.prompt_id for prompt in timeline.prompts)
        answered = (
            (at, prompt)
            for prompt in timeline.prompts
            if counts[prompt.prompt_id] == 1 and (at := _answered_at(timeline, prompt)) is not None
        )
        self._coming = sorted(answered, key=lambda pair: pair[0], reverse=True)
        self._there: dict[int, RecordedPrompt] = {}

    def before(self, at: int) -> list[RecordedPrompt]:
        """Those whose submission was answered before something was asked, oldest first."""
        while self._coming and self._coming[-1][0] < at:
            prompt = self._coming.pop()[1]
            self._there[prompt.number] = prompt
        return list(self._there.values())

    def forget(self, prompt: RecordedPrompt) -> None:
        """It is gone."""
        del self._there[prompt.number]


def _answered_at(timeline: Timeline, prompt: RecordedPrompt) -> int | None:
    if prompt.submitted is None:
        return None
    response = timeline.exchanges[prompt.submitted].response
    return response.at if response is not None else None


def count_waiting(
    timeline: Timeline, sightings: dict[str, Sighting], ended: Sequence[int | None]
) -> None:
    """Learn from the answers of GET /prompt, which say only how many prompts wait or run.

    There is one worker, so the oldest are the first that are gone.

    Args:
        timeline: the recording.
        sightings: what else is known; this is added to it.
        ended: prompt -> the place of its end, where frames tell.
    """
    queued = _Submitted(timeline)
    for exchange in timeline.exchanges:
        remaining = _remaining(exchange)
        if remaining is None:
            continue
        at = exchange.request.at
        waiting = []
        for prompt in queued.before(at):
            known = [ended[prompt.number], sightings.setdefault(prompt.prompt_id, Sighting()).over]
            if any(end is not None and end < at for end in known):
                queued.forget(prompt)
            else:
                waiting.append(prompt)
        gone = len(waiting) - remaining
        for prompt in waiting[: max(gone, 0)]:
            sightings[prompt.prompt_id].not_in_queue(at)
        # Of more than ours we do not know whose they are.
        for prompt in waiting[gone:] if gone >= 0 else ():
            sightings[prompt.prompt_id].in_queue(at, pending=False)


def _remaining(exchange: Exchange) -> int | None:
    if exchange.path != "/prompt" or not _is_answered(exchange):
        return None
    answer = exchange.response_json
    counted = answer.get("exec_info") if isinstance(answer, dict) else None
    remaining = counted.get("queue_remaining") if isinstance(counted, dict) else None
    is_count = isinstance(remaining, int) and not isinstance(remaining, bool) and remaining >= 0
    return remaining if is_count else None


class Moments:
    """When each record of a recording was written."""

    def __init__(self, timeline: Timeline) -> None:
        halves = (h for e in timeline.exchanges for h in (e.request, e.response) if h is not None)
        times = {half.at: half.t_end for half in halves}
        for socket in timeline.sockets:
            times.update((message.at, message.t) for message in socket.messages)
        self._places = sorted(times)
        # The clock of a machine may be set back; places do not go back.
        self._times = list(accumulate((times[at] for at in self._places), max))
        self._t = timeline.t

    def between(self, after: int, before: int) -> tuple[int, int]:
        """(the last record by then, Unix microseconds) of the middle between two places.

        What happened at some time between two questions is put there, so that a client that asks
        a little earlier or later than the recorded one hears the same at each question.
        """
        first, last = bisect_left(self._places, after), bisect_left(self._places, before)
        start = self._times[first] if after >= 0 and first < len(self._times) else self._t
        end = self._times[last] if last < len(self._times) else start
        middle = (start + end) // 2
        found = bisect_right(self._times, middle, min(first, last), last) - 1
        return max(self._places[found] if found >= 0 else after, after), middle
