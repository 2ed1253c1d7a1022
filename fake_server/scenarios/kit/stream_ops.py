"""Operators on event streams: events that are dropped or doubled, streams that are cut or mute.

A stream is an answer whose body comes in pieces. Each piece holds whole events, as surfaces write
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from fake_server.scenarios.kit.observer import Observer
from fake_server.scenarios.kit.operator import Operator, Step, Tally
from fake_server.source import (
    Action,
    HangUp,
    Happened,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
)

__all__ = ["change_events", "cut_stream", "lose_response", "mute_stream"]

_END = b"\n\n"

Fits = Callable[[Request], bool]


class _Streams:
    """The open streams that an operator is about: exchange -> events seen so far."""

    def __init__(self, fits: Fits) -> None:
        self.fits = fits
        self.asked: set[int] = set()
        self.open: dict[int, int] = {}
        self.gone: set[int] = set()
        """Cut by the operator; what the source still says of them is lost."""

    def hear(self, happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and self.fits(happened.request):
            self.asked.add(happened.exchange)
        elif isinstance(happened, RequestAborted):
            self.asked.discard(happened.exchange)
            self.open.pop(happened.exchange, None)
            if happened.exchange in self.gone:
                return
        yield happened

    def body(self, action: Action) -> bytes | None:
        """The piece that the action brings; None for what is not of these streams."""
        if isinstance(action, Respond) and action.exchange in self.asked:
            self.asked.discard(action.exchange)
            if not action.more:
                return None
            self.open[action.exchange] = 0
            return action.answer.body
        if isinstance(action, RespondMore) and action.exchange in self.open:
            return action.data
        return None


def _with_body(action: Action, body: bytes) -> Action:
    if isinstance(action, Respond):
        answer = msgspec.structs.replace(action.answer, body=body)
        return msgspec.structs.replace(action, answer=answer)
    assert isinstance(action, RespondMore)
    return msgspec.structs.replace(action, data=body)


def _events(body: bytes) -> list[bytes]:
    return [block + _END for block in body.split(_END) if block]


def event_name(block: bytes) -> str:
    """The type of an event as it stands in a stream; empty for a comment."""
    first = block.partition(b"\n")[0]
    return first.removeprefix(b"event: ").decode() if first.startswith(b"event: ") else ""


def change_events(
    fits: Fits, name: str, event: str, change: Callable[[bytes], bytes], *, needed: bool = False
) -> Operator:
    """Events of one type that are changed on their way; ``b""`` drops one."""
    tally, streams = Tally(f"change {name}", needed=needed), _Streams(fits)

    def changed(block: bytes) -> bytes:
        if event_name(block) != event:
            return block
        tally.hit()
        return change(block)

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        body = streams.body(action)
        if body is None:
            yield action
            return
        shown = b"".join(map(changed, _events(body)))
        if shown or not isinstance(action, RespondMore) or action.last:
            yield _with_body(action, shown)

    return Operator(tally, streams.hear, act)


def cut_stream(
    fits: Fits, name: str, *, after: int, times: int | None = 1, needed: bool = False
) -> Operator:
    """Streams whose connection is cut after so many events, ``times`` times."""
    tally, streams = Tally(f"cut {name}", needed=needed), _Streams(fits)

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        exchange = getattr(action, "exchange", None)
        if exchange in streams.gone:
            return
        body = streams.body(action)
        if body is None or exchange is None:
            yield action
            return
        events = _events(body)
        seen = streams.open[exchange]
        streams.open[exchange] += len(events)
        if tally.spent(times) or streams.open[exchange] < after:
            yield action
            return
        tally.hit()
        streams.gone.add(exchange)
        del streams.open[exchange]
        left = b"".join(events[: after - seen])
        if isinstance(action, Respond):
            yield _with_body(action, left)
        elif left:
            yield RespondMore(exchange, left)
        yield HangUp(exchange)
        yield RequestAborted(exchange)

    return Operator(tally, streams.hear, act)


def mute_stream(fits: Fits, name: str, *, after: int = 0, needed: bool = False) -> Operator:
    """Streams that stay open and say nothing any more after so many events."""
    tally, streams = Tally(f"mute {name}", needed=needed), _Streams(fits)

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        body = streams.body(action)
        if body is None:
            yield action
            return
        exchange = getattr(action, "exchange", 0)
        events = _events(body)
        left = events[: max(after - streams.open[exchange], 0)]
        streams.open[exchange] += len(events)
        if len(left) < len(events):
            tally.hit()
        if isinstance(action, Respond):
            yield _with_body(action, b"".join(left))
        elif left:
            yield RespondMore(exchange, b"".join(left))

    return Operator(tally, streams.hear, act)


def lose_response(fits: Fits, name: str, *, times: int = 1, needed: bool = False) -> Operator:
    """Requests that are carried out, and whose connection is cut in place of an answer."""
    tally, asked = Tally(f"lose {name}", needed=needed), set[int]()

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and fits(happened.request):
            asked.add(happened.exchange)
        yield happened

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        if isinstance(action, Respond) and action.exchange in asked:
            asked.discard(action.exchange)
            if action.answer.status < 300 and not tally.spent(times):
                tally.hit()
                yield HangUp(action.exchange)
                return
        yield action

    return Operator(tally, hear, act)
