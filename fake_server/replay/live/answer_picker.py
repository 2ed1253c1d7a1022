"""Which recorded answer fits now: what one play-through has read and done so far.

Where the server's answer follows from its queue and history, the recorded answers count that were
given in the same state. Everywhere else the answer is the one as of the current point of the
script: the latest that lies behind it, and at one and the same point each request gets the next
one. The last answer repeats.

A question for something that the server works on (a job, a task) is asked again and again until it
is done, by one client more often than by another. So there time counts as well: nobody is ahead of
the recorded time by more than one answer, and who asks seldom skips what was over meanwhile. The
time of a thing that a client made by a request begins with that request, and only what is done to
the thing itself holds its answers up. A list of all such things waits for none that is late: it is
shown without those that were never made (``fake_server.replay.live_values``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from fake_server.replay.recorded.match_redacted import same_form_of_body
from fake_server.replay.recorded.recorded_answers import (
    END,
    RecordedAnswers,
    RecordedExchange,
    same_body,
)
from fake_server.replay.recorded.request_key import RequestKey

__all__ = ["AnswerPicker"]


class _Time(msgspec.Struct, frozen=True):
    """Where something stands in time."""

    begun: int | None
    """Virtual time at which recorded time began for it; None: it has not."""
    now: int

    def is_past(self, recorded: RecordedExchange) -> bool:
        """Whether the recorded client had asked by this time."""
        return self.begun is not None and self.now - self.begun >= recorded.due


class AnswerPicker:
    """What one play-through has read and done so far, to pick the answer that fits next."""

    def __init__(self, answers: RecordedAnswers) -> None:
        self._answers = answers
        self._read: dict[tuple[Any, ...], int] = {}
        self._changed: dict[int, int] = {}
        self._changed_at: dict[int, int] = {}
        self.next_due: int | None = None
        """The virtual time at which there is another answer to the last question; None: at any."""

    def answer(
        self,
        request_key: RequestKey,
        *,
        seen: Any,
        past: int,
        ahead: int,
        begun: int | None,
        now: int,
        any_body: bool,
    ) -> RecordedExchange | None:
        """The recorded exchange whose answer fits now, None when none does.

        Args:
            request_key: the question, in recorded ids.
            seen: the part of the live state that the answer shows.
            past: the last place of the script that lies behind.
            ahead: the next place, which has not come yet.
            begun: virtual time at which the script began; None: it has not.
            now: virtual time.
            any_body: whether a change with another body may stand for this one.
        """
        self.next_due = None
        exchanges = self._answers.at(request_key)
        if not request_key.is_question:
            return self._change(request_key, exchanges, now, any_body=any_body)
        exchanges = [recorded for recorded in exchanges if recorded.has_an_end]
        if request_key.body_bytes:
            exchanges = self._about_the_same(request_key, exchanges, any_body=any_body)
        if seen is not None:
            exchanges = [recorded for recorded in exchanges if recorded.seen in (None, seen)]
            return self._next(request_key, exchanges, _Time(begun, now))
        changes = self._answers.changes.get(request_key.family, ())
        time = _Time(begun, now)
        about = self._answers.changes_about(request_key)
        made = [one for one in about or changes if one.exchange.number in self._changed_at]
        if made:
            time = _Time(self._changed_at[made[-1].exchange.number] - made[-1].due, now)
        if made and about:
            changes, past, ahead = about, made[-1].at, END
        return self._as_of(request_key, exchanges, changes, (past, ahead), time)

    def was_made(self, change: int) -> bool:
        """Whether a recorded change was read."""
        return change in self._changed

    def is_fresh(self, recorded: RecordedExchange) -> bool:
        """Whether a recorded change is still to be made."""
        return recorded.exchange.number not in self._changed

    def made(self, recorded: RecordedExchange, now: int) -> RecordedExchange:
        """A recorded change is made, for the first time or again."""
        number = recorded.exchange.number
        self._changed[number] = self._changed.get(number, 0) + 1
        self._changed_at[number] = now
        return recorded

    def is_repeated(self, recorded: RecordedExchange) -> bool:
        """Whether a recorded change was read more often than it was made."""
        return self._changed.get(recorded.exchange.number, 0) > 1

    def _change(
        self,
        request_key: RequestKey,
        exchanges: Sequence[RecordedExchange],
        now: int,
        *,
        any_body: bool,
    ) -> RecordedExchange | None:
        same = [p for p in exchanges if same_body(p, request_key)]
        if not same and self._answers.hidden:
            same = [p for p in exchanges if same_form_of_body(p.request_key, request_key)]
        if not same and any_body:
            ended = [p for p in exchanges if p.has_an_end]
            alike = [p for p in ended if p.request_key.body_form == request_key.body_form]
            same = alike or ended
        recorded = next((p for p in same if self.is_fresh(p)), None)
        recorded = recorded or (same[-1] if same else None)
        return None if recorded is None else self.made(recorded, now)

    def _about_the_same(
        self, request_key: RequestKey, exchanges: list[RecordedExchange], *, any_body: bool
    ) -> list[RecordedExchange]:
        """Questions by POST: those with the same body, or else those that name the same ids."""
        same = [recorded for recorded in exchanges if same_body(recorded, request_key)]
        if same or not any_body:
            return same
        ids = self._answers.ids_in(request_key)
        return [p for p in exchanges if self._answers.ids_in(p.request_key) == ids]

    def _at_time(
        self,
        exchanges: Sequence[RecordedExchange],
        following: RecordedExchange | None,
        time: _Time,
    ) -> RecordedExchange | None:
        """Of answers in order the one of its turn, or the first or last that may be true now.

        What was answered at one moment held until some time before the next one. So the next
        answer may be true from the recorded moment of this one on.
        """
        if following is None or not following.tells_of_work or time.begun is None:
            return following
        passed = time.now - time.begun
        latest = bisect_right(exchanges, passed, key=_due) - 1
        turn = bisect_left(exchanges, following.at, key=_place)
        turn = min(max(turn, latest), latest + 1, len(exchanges) - 1)
        if turn + 1 < len(exchanges) and exchanges[turn].due > passed:
            self.next_due = time.begun + exchanges[turn].due
        return exchanges[turn]

    def _next(
        self, request_key: RequestKey, exchanges: Sequence[RecordedExchange], time: _Time
    ) -> RecordedExchange | None:
        """In one and the same state: the next one, and the last one again and again."""
        read = self._read.get(request_key.place, -1)
        fresh = next((recorded for recorded in exchanges if recorded.at > read), None)
        recorded = fresh or max(
            (recorded for recorded in exchanges if recorded.at <= read),
            key=lambda recorded: recorded.at,
            default=None,
        )
        recorded = self._at_time(exchanges, recorded, time)
        if recorded is not None:
            self._read[request_key.place] = recorded.at
        return recorded

    def _as_of(
        self,
        request_key: RequestKey,
        exchanges: Sequence[RecordedExchange],
        changes: Sequence[RecordedExchange],
        places: tuple[int, int],
        time: _Time,
    ) -> RecordedExchange | None:
        """The one as of the point of the script between two places, and behind what was done."""
        past, ahead = places
        about = self._answers.ids_in(request_key) if request_key.body_bytes else None
        key = (request_key.place, request_key.manner, about)
        read = self._read.get(key, -1)
        done = [recorded.at for recorded in changes if recorded.exchange.number in self._changed]
        work = any(recorded.tells_of_work for recorded in exchanges)
        undone = [
            recorded.at
            for recorded in changes
            if recorded.exchange.number not in self._changed
            and not (work and recorded.makes and time.is_past(recorded))
        ]
        behind = max([past, *done])
        # A change that was made before the script came to it leads ahead of the script.
        ahead = min([at for at in (ahead, *undone) if at > behind], default=END)
        now = [recorded for recorded in exchanges if behind < recorded.at < ahead]
        recorded = next((recorded for recorded in now if recorded.at > read), None)
        recorded = self._at_time(now, recorded or (now[-1] if now else None), time)
        recorded = recorded or next((p for p in reversed(exchanges) if p.at <= behind), None)
        recorded = recorded or (exchanges[0] if exchanges else None)
        if recorded is not None:
            self._read[key] = max(read, recorded.at)
        return recorded


def _due(recorded: RecordedExchange) -> int:
    return recorded.due


def _place(recorded: RecordedExchange) -> int:
    return recorded.at
