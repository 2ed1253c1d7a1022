"""timeline -> the life of each prompt: when it was queued, begun, written to the history, gone.

Frames tell most of it. For a prompt whose client was not listening, the falls of
``queue_remaining`` and what /history answered at which moment tell the rest (protocol.md, sections
2, 4 and 8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from comfyrec.timeline import Exchange, RecordedPrompt, Socket, Timeline
from comfyrec.timeline.prompts import removed_ids
from fake_server.replay.recorded.sightings import (
    Moments,
    Sighting,
    count_waiting,
    queue_shown,
    sightings_of,
)

__all__ = [
    "BEFORE_ALL",
    "BEHIND",
    "HERE",
    "Lifecycle",
    "Place",
    "Statuses",
    "lifecycles_of",
]

Place = tuple[int, int]
"""Where something happens: the record it belongs to, and whether before, at or behind it."""

BEFORE: Final = -1
HERE: Final = 0
BEHIND: Final = 1
BEFORE_ALL: Final[Place] = (-1, HERE)


class Lifecycle(msgspec.Struct):
    """One prompt of the recording; None is what did not happen, or what nothing tells of."""

    submitted: Place
    started: Place | None = None
    written: Place | None = None
    ended: Place | None = None
    started_t: int | None = None
    """When it was started, Unix microseconds, where that was between two records."""
    ended_t: int | None = None
    """The same for its end."""
    deleted_by: int | None = None
    """The exchange that took it off the queue."""
    interrupted_by: int | None = None
    """The exchange that made it stop."""


class _Status(msgspec.Struct):
    at: int
    place: int
    value: int
    before: int
    """The value that the same socket was told before, or 0."""
    owner: int | None = None

    @property
    def fall(self) -> int:
        """How many prompts went."""
        return self.before - self.value


class Statuses:
    """The ``status`` frames of all sockets, and whose doing each one is."""

    def __init__(self, sockets: Sequence[Socket]) -> None:
        self.of = [_statuses(socket) for socket in sockets]
        self._opened = [socket.upgrade.request.at for socket in sockets]
        # The upgrades whose greeting said that nothing is queued.
        self.found_empty = [
            socket.upgrade.request.at
            for socket in sockets
            for message in socket.messages[:1]
            if message.peek.sid is not None and message.peek.queue_remaining == 0
        ]

    def owners(self) -> Iterator[tuple[int, int, int]]:
        """(socket, place in its messages, prompt) of each one that belongs to a prompt."""
        for socket, statuses in enumerate(self.of):
            for status in statuses:
                if status.owner is not None:
                    yield socket, status.place, status.owner

    def _open_before(self, at: int | None) -> Iterator[list[_Status]]:
        """The statuses of the sockets that were open then; None: at any time."""
        for opened, statuses in zip(self._opened, self.of, strict=True):
            if at is None or opened < at:
                yield statuses

    def claim_enqueued(self, prompt: int, lifecycle: Lifecycle, started: int | None) -> None:
        """The first rise behind the submission is its doing, on sockets that were open by then.

        Args:
            prompt: its number.
            lifecycle: says when it was submitted.
            started: where it began to run, if frames tell.
        """
        for statuses in self._open_before(started):
            _claim(
                prompt,
                (s for s in statuses if s.at > lifecycle.submitted[0] and s.value > s.before),
            )

    def claim_ended(self, prompt: int, after: int) -> int | None:
        """The first fall behind its last frame is its doing; the place of the earliest one.

        Every socket is told; in a recording the others may stand before the client's own.
        """
        claimed = [
            _claim(prompt, (s for s in statuses if s.at > after and s.value < s.before))
            for statuses in self._open_before(after)
        ]
        return min((at for at in claimed if at is not None), default=None)

    def claim_removed(self, prompts: Sequence[int], at: int) -> None:
        """A deletion says one fall for each prompt, a cleared queue one for all of them."""
        for statuses in self.of:
            left = list(prompts)
            for status in statuses:
                if left and status.at > at and status.owner is None and status.fall > 0:
                    status.owner = left[0]
                    del left[: status.fall]

    def claim_taken(self, prompt: int, lifecycle: Lifecycle) -> None:
        """The worker takes it: the last unclaimed frame before it starts."""
        if lifecycle.started is None:
            return
        first, last = lifecycle.submitted[0], lifecycle.started[0]
        for statuses in self.of:
            _claim(prompt, (s for s in reversed(statuses) if first < s.at < last))

    def first_fall(self, after: int, until: int | None) -> int | None:
        """Where ``queue_remaining`` falls and no prompt has claimed it, or was found to be 0."""
        falls = [
            s.at
            for statuses in self.of
            for s in statuses
            if s.owner is None and s.value < s.before and s.at > after
        ]
        first = min(falls + [at for at in self.found_empty if at > after], default=None)
        return None if first is None or (until is not None and first > until) else first


def _statuses(socket: Socket) -> list[_Status]:
    found, before = [], 0
    for place, message in enumerate(socket.messages):
        value = message.peek.queue_remaining
        if value is None:
            continue
        # The greeting is about the socket, not about a prompt.
        if message.peek.sid is None:
            found.append(_Status(message.at, place, value, before))
        before = value
    return found


def _claim(prompt: int, candidates: Iterable[_Status]) -> int | None:
    status = next((s for s in candidates if s.owner is None), None)
    if status is None:
        return None
    status.owner = prompt
    return status.at


def lifecycles_of(timeline: Timeline) -> tuple[list[Lifecycle], Statuses]:
    """The lives of ``timeline.prompts``, in their order, and whose doing each status frame is."""
    statuses = Statuses(timeline.sockets)
    seen = sightings_of(timeline)
    lifecycles = [_begun(timeline, prompt) for prompt in timeline.prompts]
    for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
        statuses.claim_enqueued(prompt.number, lifecycle, prompt.started_at)
    for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
        if peek := _told_end(timeline, prompt):
            _end(prompt, lifecycle, peek, seen, statuses)
    _delete(timeline, lifecycles, seen, statuses)
    count_waiting(timeline, seen, [x.ended[0] if x.ended else None for x in lifecycles])
    _end_untold(timeline, lifecycles, seen, statuses)
    for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
        statuses.claim_taken(prompt.number, lifecycle)
    _correct_by_queue(timeline, lifecycles, seen)
    _interrupt(timeline, lifecycles)
    return lifecycles, statuses


def _begun(timeline: Timeline, prompt: RecordedPrompt) -> Lifecycle:
    if prompt.submitted is None:
        lifecycle = Lifecycle(BEFORE_ALL)
    else:
        lifecycle = Lifecycle((timeline.exchanges[prompt.submitted].request.at, HERE))
    first = prompt.started_at
    if first is None and prompt.frames:
        socket, place = prompt.frames[0]
        first = timeline.sockets[socket].messages[place].at
    lifecycle.started = None if first is None else (first, BEFORE)
    return lifecycle


# --- ends that frames tell of ----------------------------------------------------------------


def _told_end(timeline: Timeline, prompt: RecordedPrompt) -> Place | None:
    """The ``status`` between the terminal frame and the null ``executing``, on their socket."""
    last = prompt.terminal_at if prompt.terminal_at is not None else prompt.left_at
    if last is None:
        return None
    socket = _socket_of(timeline, prompt, last)
    statuses = [m.at for m in socket.messages if m.peek.type == "status"]
    if prompt.terminal_at is not None:
        behind = [at for at in statuses if at > last]
        # The socket may have ended, or the recording, before the status came.
        return (behind[0], BEFORE) if behind else (last, BEHIND)
    before = [at for at in statuses if at < last]
    return (before[-1] if before else last, BEFORE)


def _socket_of(timeline: Timeline, prompt: RecordedPrompt, at: int) -> Socket:
    for number, place in reversed(prompt.frames):
        if timeline.sockets[number].messages[place].at == at:
            return timeline.sockets[number]
    raise AssertionError("the frames of a prompt hold the one that ended it")


def _end(
    prompt: RecordedPrompt,
    lifecycle: Lifecycle,
    peek: Place,
    seen: Mapping[str, Sighting],
    statuses: Statuses,
) -> None:
    last = prompt.terminal_at if prompt.terminal_at is not None else peek[0] - 1
    first = statuses.claim_ended(prompt.number, last)
    if first is not None and first < peek[0]:
        peek = (first, BEFORE)
    lifecycle.ended, lifecycle.written = (
        peek,
        _corrected(peek, seen.get(prompt.prompt_id), lifecycle),
    )


def _corrected(peek: Place, seen: Sighting | None, lifecycle: Lifecycle) -> Place:
    """HTTP and WebSocket are different connections: an answer may know better than the order."""
    if seen is None or seen.present is None:
        return peek
    earliest = lifecycle.started or lifecycle.submitted
    if earliest[0] < seen.present < peek[0]:
        return seen.present, BEFORE
    return (seen.absent, BEHIND) if peek[0] < seen.absent < seen.present else peek


# --- ends that nobody was told of ------------------------------------------------------------


def _delete(
    timeline: Timeline,
    lifecycles: Sequence[Lifecycle],
    seen: Mapping[str, Sighting],
    statuses: Statuses,
) -> None:
    for exchange in timeline.exchanges:
        ids = removed_ids(exchange)
        if ids == ():
            continue
        removed = []
        for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
            named = ids is None or prompt.prompt_id in ids
            over = seen.get(prompt.prompt_id, Sighting()).over
            was_over = over is not None and over < exchange.request.at
            submitted = lifecycle.submitted[0] < exchange.request.at and not was_over
            if prompt.outcome == "deleted" and named and submitted and lifecycle.deleted_by is None:
                lifecycle.deleted_by = exchange.number
                lifecycle.ended = (exchange.request.at, BEHIND)
                removed.append(prompt.number)
        statuses.claim_removed(removed, exchange.request.at)


def _end_untold(
    timeline: Timeline,
    lifecycles: Sequence[Lifecycle],
    seen: Mapping[str, Sighting],
    statuses: Statuses,
) -> None:
    """One worker, first come first served: what nobody was told of ends in the order it came."""
    moments = Moments(timeline)
    free_from: Place | None = BEFORE_ALL
    free_t: int | None = None
    for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
        known = seen.get(prompt.prompt_id, Sighting())
        if lifecycle.started is None and lifecycle.ended is None and free_from is not None:
            _start_untold(lifecycle, known, free_from, free_t)
        if lifecycle.ended is None and lifecycle.started is not None:
            after = max(lifecycle.started[0], known.absent, known.waiting)
            fall = statuses.first_fall(after, known.over)
            if fall is not None:
                lifecycle.ended = lifecycle.written = (fall, BEFORE)
                statuses.claim_ended(prompt.number, fall - 1)
            elif known.over is not None:
                _end_between(timeline, prompt, lifecycle, moments, (after, known.over))
        if lifecycle.ended is None:
            # It runs, or waits, when the recording ends; nobody can have run behind it.
            free_from = None
        elif lifecycle.deleted_by is None and free_from is not None:
            free_t = lifecycle.ended_t if lifecycle.ended > free_from else free_t
            free_from = max(free_from, lifecycle.ended)


def _start_untold(
    lifecycle: Lifecycle, known: Sighting, free_from: Place, free_t: int | None
) -> None:
    """The worker takes it when it is free, but not while it was seen to wait."""
    earliest = max((lifecycle.submitted[0], BEHIND), (known.pending, BEHIND))
    lifecycle.started = max(earliest, free_from)
    if lifecycle.started == free_from:
        lifecycle.started_t = free_t


def _end_between(
    timeline: Timeline,
    prompt: RecordedPrompt,
    lifecycle: Lifecycle,
    moments: Moments,
    bounds: tuple[int, int],
) -> None:
    """It ended at some time between two questions; and behind the interrupt that made it end."""
    after, over = bounds
    if prompt.outcome == "interrupted":
        stops = [e.request.at for e in timeline.exchanges if _stops(e)]
        after = max([after, *(at for at in stops if after < at < over)])
    place, lifecycle.ended_t = moments.between(after, over)
    if lifecycle.started_t is not None:
        lifecycle.ended_t = max(lifecycle.ended_t, lifecycle.started_t)
    lifecycle.ended = lifecycle.written = (place, BEHIND)


# --- what the queue showed -----------------------------------------------------------------------


def _correct_by_queue(
    timeline: Timeline, lifecycles: Sequence[Lifecycle], seen: Mapping[str, Sighting]
) -> None:
    """The queue knows at once what frames say on a connection of their own, a little later."""
    counts = Counter(prompt.prompt_id for prompt in timeline.prompts)
    for exchange in timeline.exchanges:
        shown = queue_shown(exchange)
        if shown is None:
            continue
        at = exchange.request.at
        for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
            if counts[prompt.prompt_id] > 1:
                continue
            if prompt.prompt_id in shown[0]:
                # Its own answer may be later than this one, which came on another connection.
                if lifecycle.started is not None and lifecycle.submitted[0] < at:
                    lifecycle.started = min(lifecycle.started, (at, BEFORE))
            elif not _is_queued_by(timeline, prompt, at):
                continue
            elif prompt.prompt_id not in shown[1] and lifecycle.deleted_by is None:
                _ended_by(lifecycle, at, seen.get(prompt.prompt_id, Sighting()))


def _is_queued_by(timeline: Timeline, prompt: RecordedPrompt, at: int) -> bool:
    """Whether its submission was answered before something was asked."""
    if prompt.submitted is None:
        return False
    response = timeline.exchanges[prompt.submitted].response
    return response is not None and response.at < at


def _ended_by(lifecycle: Lifecycle, at: int, seen: Sighting) -> None:
    place = (at, BEFORE)
    if lifecycle.ended is None or lifecycle.ended <= place:
        return
    lifecycle.ended = place
    if lifecycle.started is not None:
        lifecycle.started = min(lifecycle.started, place)
    if lifecycle.written is not None and seen.absent < at:
        lifecycle.written = min(lifecycle.written, place)


# --- interrupts ------------------------------------------------------------------------------


def _interrupt(timeline: Timeline, lifecycles: Sequence[Lifecycle]) -> None:
    for prompt, lifecycle in zip(timeline.prompts, lifecycles, strict=True):
        if prompt.outcome != "interrupted" or lifecycle.started is None or lifecycle.ended is None:
            continue
        in_time = [
            exchange
            for exchange in timeline.exchanges
            if lifecycle.submitted[0] < exchange.request.at < lifecycle.ended[0]
            and _stops(exchange)
        ]
        aimed = [e for e in in_time if _names_prompt(e, prompt.prompt_id)] or in_time
        lifecycle.interrupted_by = aimed[-1].number if aimed else None


def _stops(exchange: Exchange) -> bool:
    path = exchange.path
    cancels = path.startswith("/jobs/") and path.endswith("/cancel")
    return (
        exchange.method == "POST" and exchange.status == 200 and (path == "/interrupt" or cancels)
    )


def _names_prompt(exchange: Exchange, prompt_id: str) -> bool:
    if exchange.path != "/interrupt":
        return prompt_id in (removed_ids(exchange) or ())
    body = exchange.request_json
    cancel = body.get("prompt_id") if isinstance(body, dict) else None
    return not cancel or cancel == prompt_id
