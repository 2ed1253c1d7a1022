"""What was asked while recording, and what each answer shows of the server's state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.timeline import Exchange, Side, Timeline
from fake_server.replay.recorded.id_mapping import NAMES_ID
from fake_server.replay.recorded.match_redacted import is_pseudonymous, manner_form, place_form
from fake_server.replay.recorded.prompt_states import Lifecycle, Place
from fake_server.replay.recorded.request_key import RequestKey, recorded_request_key, skeleton
from fake_server.replay.recorded.sightings import forgotten_ids, queue_shown
from fake_server.replay.recorded.steps import Script

__all__ = [
    "END",
    "RecordedAnswers",
    "RecordedExchange",
    "State",
    "same_body",
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
    due: int = 0
    """When it was asked: microseconds since the script began."""
    tells_of_work: bool = False
    """Its answer says how something stands that the server works on, and changes with time."""
    makes: bool = False
    """It is a change whose answer names something that the server has made for it."""

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

    def __init__(self, script: Script) -> None:
        timeline = script.timeline
        self._ids = script.recorded_ids
        self._numbers_made = script.other_ids.all_numbers
        self.hidden = is_pseudonymous(timeline)
        self._numbers: dict[str, list[PromptNumber]] = {}
        for prompt in timeline.prompts:
            self._numbers.setdefault(prompt.prompt_id, []).append(prompt.number)
        states = _States(timeline, script.lifecycles, self.numbers)
        dues = _Dues(script)
        self.exchanges: list[RecordedExchange] = []
        self._at: dict[tuple[Any, ...], list[RecordedExchange]] = {}
        self.changes: dict[str, list[RecordedExchange]] = {}
        self._about: dict[str, list[RecordedExchange]] = {}
        minted = script.other_ids.minted
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
            recorded = RecordedExchange(
                exchange,
                request_key,
                seen,
                dues.of(exchange),
                self._tells_of_work(request_key),
                exchange.number in minted,
            )
            self.exchanges.append(recorded)
            self._at.setdefault(request_key.place, []).append(recorded)
            if not request_key.is_question:
                self.changes.setdefault(request_key.family, []).append(recorded)
                for word in (*self.ids_in(request_key), *minted.get(exchange.number, ())):
                    self._about.setdefault(word, []).append(recorded)

    def _tells_of_work(self, request_key: RequestKey) -> bool:
        """Whether a question is about prompts, jobs, or something else that a server minted."""
        if not request_key.is_question:
            return False
        return request_key.route in _ABOUT_WORK or bool(self.ids_in(request_key))

    def ids_in(self, request_key: RequestKey) -> frozenset[str]:
        """The recorded ids that a request names: in its path, its query or its body."""
        segments = request_key.path.split("/")
        words = [*segments, *(value for _, value in request_key.query)]
        body = request_key.json if isinstance(request_key.json, dict) else {}
        words += [value for value in body.values() if isinstance(value, str)]
        found = {word for word in words if word in self._ids}
        if self._numbers_made:
            named = [*request_key.query, *body.items()]
            found.update(self._numbers_made.intersection(segments))
            found.update(
                str(value)
                for name, value in named
                if NAMES_ID.fullmatch(name) and str(value) in self._numbers_made
            )
        return frozenset(found)

    def changes_about(self, request_key: RequestKey) -> list[RecordedExchange]:
        """What made the things that a request names, and what was done to them, in order."""
        found = {c.at: c for word in self.ids_in(request_key) for c in self._about.get(word, ())}
        return [found[at] for at in sorted(found)]

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
        return any(p.exchange.number == exchange and same_body(p, request_key) for p in exchanges)

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


_ABOUT_WORK: Final = frozenset(("history", "queue", "prompt", "jobs", "v2/jobs"))
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


class _Dues:
    """When each exchange is due in the script's time; they are asked for in order."""

    def __init__(self, script: Script) -> None:
        self._script, self._limit = script, script.idle_time_limit_us
        self._at, self._t, self._due = -1, script.timeline.t, 0

    def of(self, exchange: Exchange) -> int:
        request = exchange.request
        step = self._script.step_before(request.at)
        if step is not None and step.place[0] > self._at:
            self._t, self._due = step.t, step.due
        gap = max(request.t_end - self._t, 0)
        self._due += gap if self._limit is None else min(gap, self._limit)
        self._at, self._t = request.at, request.t_end
        return self._due


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


def same_body(recorded: RecordedExchange, request_key: RequestKey) -> bool:
    """Whether both have the same body.

    A body that the recording left out was large: any large one may be it, or none at all.
    """
    omitted = recorded.exchange.request.omitted_bytes
    if omitted:
        return not request_key.body_bytes or request_key.body_bytes * 2 > omitted
    return recorded.request_key.has_body_of(request_key)
