"""What stands out in a timeline: silences, polling; and the struct for anything out of order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from comfyrec.timeline import Timeline
from comfyrec.timeline.model import Exchange

__all__ = [
    "POLLS_MIN",
    "SILENCES_MAX",
    "SILENCE_SHARE",
    "SILENCE_US_MIN",
    "Finding",
    "Poll",
    "Silence",
    "find_polls",
    "find_silences",
    "route_of",
]

SILENCE_US_MIN: Final = 1_000_000
SILENCE_SHARE: Final = 0.05
"""Of the whole recording: a shorter pause is part of its pace."""
SILENCES_MAX: Final = 20
POLLS_MIN: Final = 5
"""Requests for the same thing that are called polling."""

_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class Finding(msgspec.Struct, frozen=True):
    """Something out of order."""

    kind: str
    """A rule of ``comfyrec.events.order.RULES``, or ``unheard``, ``cut``, ``unanswered``,
    ``unreadable``."""
    severity: str
    """``breaks``: the server's order does not hold; ``warns``: something was lost."""
    t_us: int | None
    """Microseconds since the first record; None: of the recording as a whole."""
    sentence: str
    at: int | None = None
    """Place of the record in the recording."""
    prompt: int | None = None
    socket: int | None = None
    exchange: int | None = None


class Poll(msgspec.Struct, frozen=True):
    """One thing that was asked for again and again."""

    route: str
    """``GET /history/{id}``: ids are left out."""
    count: int
    first_us: int
    last_us: int
    interval_us: int
    """The median pause between two of them."""


class Silence(msgspec.Struct, frozen=True):
    """A stretch without a single record."""

    t_us: int
    duration_us: int
    during: str = ""
    """What was going on, as in ``KSampler 3 ran``; ``""``: nothing that is known."""


def route_of(exchange: Exchange) -> str:
    """Method and path, with ``{id}`` for ids."""
    return f"{exchange.method} {_UUID.sub('{id}', exchange.path)}"


def find_polls(timeline: Timeline) -> tuple[Poll, ...]:
    """Everything that was asked for at least five times, most often first."""
    asked: dict[str, list[int]] = {}
    for exchange in timeline.exchanges:
        if exchange.method == "GET" and exchange.status != 101:
            asked.setdefault(f"GET {exchange.target}", []).append(exchange.number)
    polls = []
    for numbers in asked.values():
        if len(numbers) >= POLLS_MIN:
            times = [timeline.exchanges[n].request.t - timeline.t for n in numbers]
            pauses = sorted(b - a for a, b in pairwise(times))
            route = route_of(timeline.exchanges[numbers[0]])
            middle = pauses[len(pauses) // 2]
            polls.append(Poll(route, len(times), times[0], times[-1], middle))
    return tuple(sorted(polls, key=lambda poll: -poll.count))


def find_silences(
    timeline: Timeline, busy: Sequence[tuple[int, int, str]], *, idle: bool
) -> tuple[Silence, ...]:
    """The longest stretches in which nothing crossed the wire, in order.

    Args:
        timeline: the recording.
        busy: (from, to, what happened then), microseconds since the first record.
        idle: all prompts are over at its end: then it just went on for a while behind its last
            word, which is no silence.
    """
    least = max(SILENCE_US_MIN, int((timeline.t_end - timeline.t) * SILENCE_SHARE))
    times = sorted(t - timeline.t for t in _times(timeline))
    last = max(_words(timeline), default=timeline.t) - timeline.t
    found = [
        Silence(before, after - before, _during(before, after, busy))
        for before, after in pairwise(times)
        if after - before >= least and not (idle and before >= last)
    ]
    longest = sorted(found, key=lambda silence: -silence.duration_us)[:SILENCES_MAX]
    return tuple(sorted(longest, key=lambda silence: silence.t_us))


def _times(timeline: Timeline) -> Iterable[int]:
    yield timeline.t
    yield from _words(timeline)
    yield from (one.closing.t for one in timeline.sockets if one.closing is not None)
    yield timeline.t_end


def _words(timeline: Timeline) -> Iterable[int]:
    """When something was said: all but the ends of sockets and of the recording."""
    for exchange in timeline.exchanges:
        for half in (exchange.request, exchange.response):
            if half is not None:
                yield from (half.t, half.t_end)
                yield from (piece.t for piece in half.pieces)
    for socket in timeline.sockets:
        yield from (message.t for message in socket.messages)
        yield from (ping.t for ping in socket.pings)


def _during(before: int, after: int, busy: Sequence[tuple[int, int, str]]) -> str:
    """What filled most of the stretch."""
    best, words = 0, ""
    for start, end, what in busy:
        shared = min(after, end) - max(before, start)
        if shared > best:
            best, words = shared, what
    return words
