"""What was asked while recording, and which of the answers fits now.

Two rules. Where the server's answer follows from its queue and history, the recorded answers count
that were given in the same state. Everywhere else the answer is the one as of the current point of
the script: the latest that lies behind it, and at one and the same point each request gets the next
one. The last answer repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.timeline import Exchange, Side, Timeline
from fake_server.replay.recorded.match_redacted import (
    is_pseudonymous,
    manner_form,
    place_form,
    same_form_of_body,
)
from fake_server.replay.recorded.prompt_states import Lifecycle, Place
from fake_server.replay.recorded.request_key import RequestKey, recorded_request_key, skeleton
from fake_server.replay.recorded.sightings import queue_shown

__all__ = [
    "END",
    "AnswerPicker",
    "RecordedAnswers",
    "RecordedExchange",
    "State",
    "forgotten_ids",
    "state_shown_by",
]

PromptNumber = int
"""A prompt: its number in the recording, or a negative one for one that is played again."""
CLOSEST_SHOWN: Final = 3


END: Final = 1 << 60
"""A place behind every record."""


class State(msgspec.Struct, frozen=True):
    """What queue and history hold."""

    running: tuple[PromptNumber, ...] = ()
    pending: frozenset[PromptNumber] = frozenset()
    history: tuple[PromptNumber, ...] = ()


class RecordedExchange(msgspec.Struct, frozen=True):
    """One recorded exchange. Its answer may be missing: the recording, or its client, ended."""

    exchange: Exchange
    request_key: RequestKey
    seen: Any
    """The part of the state that its answer shows; None when it shows none."""

    @property
    def at(self) -> int:
        """The place of the question."""
        return self.exchange.request.at

    @property
    def hung_up(self) -> bool:
        """Whether the server ended the connection instead of an answer."""
        return self.exchange.response is None and self.exchange.cut_by is Side.SERVER

    @property
    def has_an_end(self) -> bool:
        """Whether the recording knows what came of it: an answer, or none."""
        return self.exchange.response is not None or self.hung_up

    def is_like(self, request_key: RequestKey) -> bool:
        """Whether it was asked in the same manner."""
        return self.request_key.manner == request_key.manner


def state_shown_by(
    request_key: RequestKey, state: State, numbers: Callable[[str], Sequence[PromptNumber]]
) -> tuple[Any, ...] | None:
    """The part of the state that an answer shows; None for answers that show no state.

    A whole history is kept as its hash: a long recording asks for long ones often.

    Args:
        asking: the question.
        state: of the server.
        numbers: prompt id -> the prompts that have it.
    """
    if request_key.method not in ("GET", "HEAD"):
        return None
    first, _, rest = request_key.path[1:].partition("/")
    if first in ("queue", "prompt") and not rest:
        return state.running, state.pending
    if first == "history":
        return tuple(n in state.history for n in numbers(rest)) if rest else (hash(state.history),)
    if first == "jobs":
        return tuple(_stage(n, state) for n in numbers(rest)) if rest else (hash(state),)
    return None


def _stage(number: PromptNumber, state: State) -> str:
    if number in state.running:
        return "running"
    if number in state.pending:
        return "pending"
    return "history" if number in state.history else ""


class RecordedAnswers:
    """All exchanges of a recording that have an answer, by what they ask for."""

    def __init__(self, timeline: Timeline, lifecycles: Sequence[Lifecycle]) -> None:
        self.hidden = is_pseudonymous(timeline)
        self._numbers: dict[str, list[PromptNumber]] = {}
        for prompt in timeline.prompts:
            self._numbers.setdefault(prompt.prompt_id, []).append(prompt.number)
        states = _States(timeline, lifecycles, self.numbers)
        self.exchanges: list[RecordedExchange] = []
        self._at: dict[tuple[Any, ...], list[RecordedExchange]] = {}
        self.changes: dict[str, list[RecordedExchange]] = {}
        for exchange in timeline.exchanges:
            if not _is_request(exchange):
                continue
            request_key = recorded_request_key(exchange)
            state = states.at((exchange.request.at, 0))
            seen = (
                state_shown_by(request_key, self._corrected(exchange, state), self.numbers)
                if _shows_state(exchange)
                else None
            )
            recorded = RecordedExchange(exchange, request_key, seen)
            self.exchanges.append(recorded)
            self._at.setdefault(request_key.place, []).append(recorded)
            if request_key.method not in _SAFE_METHODS:
                self.changes.setdefault(request_key.family, []).append(recorded)

    def _corrected(self, exchange: Exchange, state: State) -> State:
        """The state as the answer itself shows it, where it does."""
        shown = queue_shown(exchange)
        if shown is None:
            return state
        running, pending = ([*map(self._only, ids)] for ids in shown)
        if None in running or None in pending:
            return state
        return msgspec.structs.replace(
            state,
            running=tuple(n for n in running if n is not None),
            pending=frozenset(n for n in pending if n is not None),
        )

    def _only(self, prompt_id: str) -> PromptNumber | None:
        numbers = self.numbers(prompt_id)
        return numbers[0] if len(numbers) == 1 else None

    def numbers(self, prompt_id: str) -> Sequence[PromptNumber]:
        """The recorded prompts of that id."""
        return self._numbers.get(prompt_id, ())

    def at(self, request_key: RequestKey) -> list[RecordedExchange]:
        """What was asked at the same place in the same manner, in order."""
        exchanges = self._at.get(request_key.place, [])
        if not exchanges and request_key.method == "HEAD":
            # The head of what a GET was answered.
            exchanges = self._at.get(("GET", *request_key.place[1:]), [])
        for fits in (_same_manner_and_prefix, self.is_same_manner):
            if found := [
                recorded for recorded in exchanges if fits(recorded.request_key, request_key)
            ]:
                return found
        return [recorded for recorded in exchanges if recorded.request_key.manner == _PLAIN]

    def is_same_manner(self, one: RequestKey, other: RequestKey) -> bool:
        """Whether two requests were asked in the same way."""
        if one.manner == other.manner:
            return True
        return self.hidden and manner_form(one) == manner_form(other)

    def like(self, request_key: RequestKey) -> list[RequestKey]:
        """What was asked with other names of the same form, ``1a2b3c.json`` and ``4d5e6f.json``."""
        form_of = place_form if self.hidden else _skeletons
        form = form_of(request_key)
        found = [
            recorded.request_key
            for recorded in self.exchanges
            if self.is_same_manner(recorded.request_key, request_key)
            and form_of(recorded.request_key) == form
        ]
        return list({key.place: key for key in found}.values())

    def is_same_request(self, request_key: RequestKey, exchange: int) -> bool:
        """Whether a recorded exchange asked for the same, with the same body."""
        exchanges = self._at.get(request_key.place, ())
        return any(p.exchange.number == exchange and _same_body(p, request_key) for p in exchanges)

    def closest(self, request_key: RequestKey) -> list[RecordedExchange]:
        """What was asked and comes nearest, best first."""
        ranked = sorted(
            self.exchanges,
            key=lambda recorded: _nearness(recorded.request_key, request_key),
            reverse=True,
        )
        return ranked[:CLOSEST_SHOWN]


def _skeletons(request_key: RequestKey) -> tuple[Any, ...]:
    query = tuple((name, skeleton(value)) for name, value in request_key.query)
    return request_key.method, skeleton(request_key.path), query


def _is_request(exchange: Exchange) -> bool:
    """It was asked, and it is not an upgrade that was accepted."""
    return bool(exchange.request.start) and exchange.status != 101


def _shows_state(exchange: Exchange) -> bool:
    """A refusal of a bad parameter is the same in every state; not found is one."""
    return exchange.status is None or exchange.status < 400 or exchange.status == 404


_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_PLAIN: Final = ("accepted", "", "")


def _same_manner_and_prefix(one: RequestKey, other: RequestKey) -> bool:
    return one.manner == other.manner and one.prefixed == other.prefixed


def _nearness(one: RequestKey, other: RequestKey) -> tuple[int, ...]:
    ours, theirs = one.path.split("/"), other.path.split("/")
    common = sum(a == b for a, b in zip(ours, theirs, strict=False))
    return (
        one.path == other.path,
        common,
        one.method == other.method,
        len(set(one.query) & set(other.query)),
        one.body_key == other.body_key,
    )


class _States:
    """The state at any place of the recording; places are asked for in order."""

    def __init__(
        self,
        timeline: Timeline,
        lifecycles: Sequence[Lifecycle],
        numbers: Callable[[str], Sequence[PromptNumber]],
    ) -> None:
        self._changes = sorted(
            _changes(timeline, lifecycles, numbers), key=lambda change: change[0]
        )
        self._next = 0
        self._state = State()

    def at(self, place: Place) -> State:
        while self._next < len(self._changes) and self._changes[self._next][0] < place:
            self._state = self._changes[self._next][1](self._state)
            self._next += 1
        return self._state


def _changes(
    timeline: Timeline,
    lifecycles: Sequence[Lifecycle],
    numbers: Callable[[str], Sequence[PromptNumber]],
) -> Iterator[tuple[Place, Callable[[State], State]]]:
    for number, lifecycle in enumerate(lifecycles):
        yield lifecycle.submitted, _queued(number)
        if lifecycle.started is not None:
            yield lifecycle.started, _started(number)
        if lifecycle.written is not None:
            yield lifecycle.written, _written(number)
        if lifecycle.ended is not None:
            yield lifecycle.ended, _ended(number)
    for exchange in timeline.exchanges:
        if exchange.method == "POST" and exchange.path == "/history":
            yield (exchange.request.at, 0), _forgotten(exchange.request_json, numbers)


def _queued(number: PromptNumber) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(s, pending=s.pending | {number})


def _started(number: PromptNumber) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(
        s, pending=s.pending - {number}, running=(*s.running, number)
    )


def _written(number: PromptNumber) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(s, history=(*s.history, number))


def _ended(number: PromptNumber) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(
        s,
        pending=s.pending - {number},
        running=tuple(n for n in s.running if n != number),
    )


def _forgotten(
    body: Any, numbers: Callable[[str], Sequence[PromptNumber]]
) -> Callable[[State], State]:
    ids = forgotten_ids(body)
    if ids is None:
        return lambda s: msgspec.structs.replace(s, history=())
    gone = {number for prompt_id in ids for number in numbers(prompt_id)}
    return lambda s: msgspec.structs.replace(
        s, history=tuple(n for n in s.history if n not in gone)
    )


def forgotten_ids(body: Any) -> frozenset[str] | None:
    """Which entries a POST /history takes out of the history; None: all."""
    body = body if isinstance(body, dict) else {}
    if body.get("clear"):
        return None
    ids = body.get("delete")
    return frozenset(i for i in ids if isinstance(i, str)) if isinstance(ids, list) else frozenset()


class AnswerPicker:
    """What one play-through has read and done so far, to pick the answer that fits next."""

    def __init__(self, answers: RecordedAnswers) -> None:
        self._answers = answers
        self._read: dict[tuple[Any, ...], int] = {}
        self._changed: dict[int, int] = {}

    def answer(
        self, request_key: RequestKey, *, seen: Any, past: int, ahead: int, any_body: bool
    ) -> RecordedExchange | None:
        """The recorded exchange whose answer fits now, None when none does.

        Args:
            request_key: the question, in recorded ids.
            seen: the part of the live state that the answer shows.
            past: the last place of the script that lies behind.
            ahead: the next place, which has not come yet.
            any_body: whether a change with another body may stand for this one.
        """
        exchanges = self._answers.at(request_key)
        if request_key.method not in _SAFE_METHODS:
            return self._change(request_key, exchanges, any_body=any_body)
        exchanges = [recorded for recorded in exchanges if recorded.has_an_end]
        if seen is not None:
            exchanges = [recorded for recorded in exchanges if recorded.seen in (None, seen)]
            return self._next(request_key, exchanges)
        return self._as_of(request_key, exchanges, past, ahead)

    def was_made(self, change: int) -> bool:
        """Whether a recorded change was read."""
        return change in self._changed

    def is_fresh(self, recorded: RecordedExchange) -> bool:
        """Whether a recorded change is still to be made."""
        return recorded.exchange.number not in self._changed

    def made(self, recorded: RecordedExchange) -> RecordedExchange:
        """A recorded change is made, for the first time or again."""
        number = recorded.exchange.number
        self._changed[number] = self._changed.get(number, 0) + 1
        return recorded

    def is_repeated(self, recorded: RecordedExchange) -> bool:
        """Whether a recorded change was read more often than it was made."""
        return self._changed.get(recorded.exchange.number, 0) > 1

    def _change(
        self, request_key: RequestKey, exchanges: Sequence[RecordedExchange], *, any_body: bool
    ) -> RecordedExchange | None:
        same = [p for p in exchanges if _same_body(p, request_key)]
        if not same and self._answers.hidden:
            same = [p for p in exchanges if same_form_of_body(p.request_key, request_key)]
        if not same and any_body:
            ended = [p for p in exchanges if p.has_an_end]
            alike = [p for p in ended if p.request_key.body_form == request_key.body_form]
            same = alike or ended
        recorded = next((p for p in same if self.is_fresh(p)), None)
        recorded = recorded or (same[-1] if same else None)
        return None if recorded is None else self.made(recorded)

    def _next(
        self, request_key: RequestKey, exchanges: Sequence[RecordedExchange]
    ) -> RecordedExchange | None:
        """In one and the same state: the next one, and the last one again and again."""
        read = self._read.get(request_key.place, -1)
        fresh = next((recorded for recorded in exchanges if recorded.at > read), None)
        recorded = fresh or max(
            (recorded for recorded in exchanges if recorded.at <= read),
            key=lambda recorded: recorded.at,
            default=None,
        )
        if recorded is not None:
            self._read[request_key.place] = recorded.at
        return recorded

    def _as_of(
        self, request_key: RequestKey, exchanges: Sequence[RecordedExchange], past: int, ahead: int
    ) -> RecordedExchange | None:
        key = (request_key.place, request_key.manner)
        read = self._read.get(key, -1)
        changes = self._answers.changes.get(request_key.family, ())
        done = [recorded.at for recorded in changes if recorded.exchange.number in self._changed]
        undone = [
            recorded.at for recorded in changes if recorded.exchange.number not in self._changed
        ]
        behind = max([past, *done])
        # A change that was made before the script came to it leads ahead of the script.
        ahead = min([at for at in (ahead, *undone) if at > behind], default=END)
        now = [recorded for recorded in exchanges if behind < recorded.at < ahead]
        recorded = next((recorded for recorded in now if recorded.at > read), None)
        recorded = recorded or (now[-1] if now else None)
        recorded = recorded or next((p for p in reversed(exchanges) if p.at <= behind), None)
        recorded = recorded or (exchanges[0] if exchanges else None)
        if recorded is not None:
            self._read[key] = max(read, recorded.at)
        return recorded


def _same_body(recorded: RecordedExchange, request_key: RequestKey) -> bool:
    """A body that the recording left out was large: any large one may be it, or none at all."""
    omitted = recorded.exchange.request.omitted_bytes
    if omitted:
        return not request_key.body_bytes or request_key.body_bytes * 2 > omitted
    return recorded.request_key.has_body_of(request_key)
