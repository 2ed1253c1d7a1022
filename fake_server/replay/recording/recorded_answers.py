"""What was asked while recording, and which of the answers fits now.

Two rules. Where the server's answer follows from its queue and history, the recorded answers count
that were given in the same state. Everywhere else the answer is the one as of the current point of
the script: the latest that lies behind it, and at one and the same point each asking gets the next
one. The last answer repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.timeline import Exchange, Side, Timeline
from comfyrec.timeline.prompts import plain_path
from fake_server.replay.recording.prompt_states import Life, Place
from fake_server.replay.request_key import Asking, recorded_asking

__all__ = ["Book", "Page", "Reader", "State", "forgotten_ids", "seen_of"]

Token = int
"""A prompt: its number in the recording, or a negative one for one that is played again."""
PAGES_SHOWN: Final = 3


class State(msgspec.Struct, frozen=True):
    """What queue and history hold."""

    running: tuple[Token, ...] = ()
    pending: frozenset[Token] = frozenset()
    history: tuple[Token, ...] = ()


class Page(msgspec.Struct, frozen=True):
    """One recorded exchange. Its answer may be missing: the recording, or its client, ended."""

    exchange: Exchange
    asking: Asking
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

    def is_like(self, asking: Asking) -> bool:
        """Whether it was asked in the same manner."""
        return self.asking.manner == asking.manner


def seen_of(
    asking: Asking, state: State, numbers: Callable[[str], Sequence[Token]]
) -> tuple[Any, ...] | None:
    """The part of the state that an answer shows; None for answers that show no state.

    A whole history is kept as its hash: a long recording asks for long ones often.

    Args:
        asking: the question.
        state: of the server.
        numbers: prompt id -> the prompts that have it.
    """
    if asking.method != "GET":
        return None
    first, _, rest = asking.path[1:].partition("/")
    if first in ("queue", "prompt") and not rest:
        return state.running, state.pending
    if first == "history":
        return tuple(n in state.history for n in numbers(rest)) if rest else (hash(state.history),)
    if first == "jobs":
        return tuple(_stage(n, state) for n in numbers(rest)) if rest else (hash(state),)
    return None


def _stage(number: Token, state: State) -> str:
    if number in state.running:
        return "running"
    if number in state.pending:
        return "pending"
    return "history" if number in state.history else ""


class Book:
    """All exchanges of a recording that have an answer, by what they ask for."""

    def __init__(self, timeline: Timeline, lives: Sequence[Life]) -> None:
        self._numbers: dict[str, list[Token]] = {}
        for prompt in timeline.prompts:
            self._numbers.setdefault(prompt.prompt_id, []).append(prompt.number)
        states = _States(timeline, lives, self.numbers)
        self.pages: list[Page] = []
        self._at: dict[tuple[Any, ...], list[Page]] = {}
        self.changes: dict[str, list[Page]] = {}
        for exchange in timeline.exchanges:
            if not _is_page(exchange):
                continue
            asking = recorded_asking(exchange)
            state = states.at((exchange.request.at, 0))
            seen = seen_of(asking, state, self.numbers) if _shows_state(exchange) else None
            page = Page(exchange, asking, seen)
            self.pages.append(page)
            self._at.setdefault(asking.place, []).append(page)
            if asking.method not in _QUESTIONS:
                self.changes.setdefault(asking.family, []).append(page)

    def numbers(self, prompt_id: str) -> Sequence[Token]:
        """The recorded prompts of that id."""
        return self._numbers.get(prompt_id, ())

    def at(self, asking: Asking) -> list[Page]:
        """What was asked at the same place in the same manner, in order."""
        pages = self._at.get(asking.place, [])
        for fits in (_same_manner_and_prefix, _same_manner):
            if found := [page for page in pages if fits(page.asking, asking)]:
                return found
        return [page for page in pages if page.asking.manner == _PLAIN]

    def is_page_of(self, asking: Asking, exchange: int) -> bool:
        """Whether a recorded exchange asked for the same, with the same body."""
        pages = self._at.get(asking.place, ())
        return any(p.exchange.number == exchange and _same_body(p, asking) for p in pages)

    def closest(self, asking: Asking) -> list[Page]:
        """What was asked and comes nearest, best first."""
        ranked = sorted(self.pages, key=lambda page: _nearness(page.asking, asking), reverse=True)
        return ranked[:PAGES_SHOWN]


def _is_page(exchange: Exchange) -> bool:
    """It was asked, and it is no upgrade that was accepted."""
    return bool(exchange.request.start) and exchange.status != 101


def _shows_state(exchange: Exchange) -> bool:
    """A refusal of a bad parameter is the same in every state; not found is one."""
    return exchange.status is None or exchange.status < 400 or exchange.status == 404


_QUESTIONS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_PLAIN: Final = ("accepted", "", "")


def _same_manner(one: Asking, other: Asking) -> bool:
    return one.manner == other.manner


def _same_manner_and_prefix(one: Asking, other: Asking) -> bool:
    return one.manner == other.manner and one.prefixed == other.prefixed


def _nearness(one: Asking, other: Asking) -> tuple[int, ...]:
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
        lives: Sequence[Life],
        numbers: Callable[[str], Sequence[Token]],
    ) -> None:
        self._changes = sorted(_changes(timeline, lives, numbers), key=lambda change: change[0])
        self._next = 0
        self._state = State()

    def at(self, place: Place) -> State:
        while self._next < len(self._changes) and self._changes[self._next][0] < place:
            self._state = self._changes[self._next][1](self._state)
            self._next += 1
        return self._state


def _changes(
    timeline: Timeline, lives: Sequence[Life], numbers: Callable[[str], Sequence[Token]]
) -> Iterator[tuple[Place, Callable[[State], State]]]:
    for number, life in enumerate(lives):
        yield life.submitted, _queued(number)
        if life.started is not None:
            yield life.started, _started(number)
        if life.written is not None:
            yield life.written, _written(number)
        if life.ended is not None:
            yield life.ended, _ended(number)
    for exchange in timeline.exchanges:
        if exchange.method == "POST" and plain_path(exchange) == "/history":
            yield (exchange.request.at, 0), _forgotten(exchange.asked_json, numbers)


def _queued(number: Token) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(s, pending=s.pending | {number})


def _started(number: Token) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(
        s, pending=s.pending - {number}, running=(*s.running, number)
    )


def _written(number: Token) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(s, history=(*s.history, number))


def _ended(number: Token) -> Callable[[State], State]:
    return lambda s: msgspec.structs.replace(
        s,
        pending=s.pending - {number},
        running=tuple(n for n in s.running if n != number),
    )


def _forgotten(body: Any, numbers: Callable[[str], Sequence[Token]]) -> Callable[[State], State]:
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


class Reader:
    """One play-through's place in the book: what was read, what was done."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._read: dict[tuple[Any, ...], int] = {}
        self._changed: dict[int, int] = {}

    def answer(self, asking: Asking, *, seen: Any, past: int, ahead: int) -> Page | None:
        """The recorded exchange whose answer fits now, None when none does.

        Args:
            asking: the question, in recorded ids.
            seen: the part of the live state that the answer shows.
            past: the last place of the script that lies behind.
            ahead: the next place, which has not come yet.
        """
        pages = self._book.at(asking)
        if asking.method not in _QUESTIONS:
            return self._change(asking, pages)
        pages = [page for page in pages if page.has_an_end]
        if seen is not None:
            pages = [page for page in pages if page.seen in (None, seen)]
            return self._next(asking, pages)
        return self._as_of(asking, pages, past, ahead)

    def is_repeated(self, page: Page) -> bool:
        """Whether a recorded change was read more often than it was made."""
        return self._changed.get(page.exchange.number, 0) > 1

    def _change(self, asking: Asking, pages: Sequence[Page]) -> Page | None:
        same = [p for p in pages if _same_body(p, asking)]
        page = next((p for p in same if p.exchange.number not in self._changed), None)
        page = page or (same[-1] if same else None)
        if page is not None:
            number = page.exchange.number
            self._changed[number] = self._changed.get(number, 0) + 1
        return page

    def _next(self, asking: Asking, pages: Sequence[Page]) -> Page | None:
        """In one and the same state: the next one, and the last one again and again."""
        read = self._read.get(asking.place, -1)
        fresh = next((page for page in pages if page.at > read), None)
        page = fresh or max(
            (page for page in pages if page.at <= read), key=lambda page: page.at, default=None
        )
        if page is not None:
            self._read[asking.place] = page.at
        return page

    def _as_of(self, asking: Asking, pages: Sequence[Page], past: int, ahead: int) -> Page | None:
        key = (asking.place, asking.manner)
        read = self._read.get(key, -1)
        changes = self._book.changes.get(asking.family, ())
        done = [page.at for page in changes if page.exchange.number in self._changed]
        undone = [page.at for page in changes if page.exchange.number not in self._changed]
        behind = max([past, *done])
        ahead = min([ahead, *(at for at in undone if at > behind)])
        now = [page for page in pages if behind < page.at < ahead]
        page = next((page for page in now if page.at > read), None)
        page = page or (now[-1] if now else None)
        page = page or next((p for p in reversed(pages) if p.at <= behind), None)
        page = page or (pages[0] if pages else None)
        if page is not None:
            self._read[key] = max(read, page.at)
        return page


def _same_body(page: Page, asking: Asking) -> bool:
    """A body that the recording left out was large: any large one may be it, or none at all."""
    omitted = page.exchange.request.omitted_bytes
    if omitted:
        return not asking.body_bytes or asking.body_bytes * 2 > omitted
    return page.asking.body_key == asking.body_key
