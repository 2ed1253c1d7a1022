"""The journal of a scenario -> the story of one run, as its server saw it.

A line for each thing that the client or the server did: a request with its answer, a WebSocket, the
frames that went out, the end of the prompt in truth, the client's report. What comes again and
again is told once, and a run of any length is a bounded number of lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Literal

import msgspec

from comfyrec.check.case import Report
from comfyrec.wording import plural, shortened, shortened_list
from fake_server.scenarios.kit.observer import JournalNote

__all__ = ["Moment", "Noted", "story_of"]

MOMENTS_MAX: Final = 40
"""If there are more, the first and the last half of so many."""
KINDS_MAX: Final = 8
"""Kinds of frames that one line lists."""
WORDS_MAX: Final = 160
PAUSE_S: Final = 0.05
"""Frames of one line are not further apart."""
PERIOD_MAX: Final = 3
"""So many lines that come again and again, such as a look into the history and one into the queue,
are told once."""

Who = Literal["client", "server", "others", "prompt"]
Noted = tuple[float, JournalNote]
"""An entry of a journal, and when it was written: seconds on the clock of the reports."""


class Moment(msgspec.Struct, frozen=True):
    """One line of a story."""

    at_s: float
    """Seconds since the client first showed itself."""
    who: Who
    words: str
    """They continue ``who``, as in "client asks ..."; the prompt's are its end in truth."""


def story_of(noted: Iterable[Noted], report: Report, *, until_s: float) -> tuple[Moment, ...]:
    """Tell what happened.

    Args:
        noted: the journal, in order of time and without secrets.
        report: what the client reported in the end.
        until_s: when it ended or was stopped, on the same clock.
    """
    told = list(_once(list(_lines(list(noted)))))
    ended_s = until_s if report.at_s is None else report.at_s
    start_s = told[0].at_s if told else ended_s
    whole = [*_bounded(told), Moment(ended_s, "client", _reported(report))]
    return tuple(
        Moment(max(round(one.at_s - start_s, 3), 0.0), one.who, shortened(one.words, WORDS_MAX))
        for one in whole
    )


def _reported(report: Report) -> str:
    if report.at_s is None:
        return "is stopped; it has reported nothing"
    if report.outcomes:
        return f"reports {' and '.join(report.outcomes)}"
    return f"ends without an outcome{f': {report.crash}' if report.crash else ''}"


# --- a line for what belongs together ----------------------------------------------------------


def _lines(noted: Sequence[Noted]) -> Iterator[Moment]:
    telling = _Telling()
    rest = [one for one in noted if _is_told(one[1])]
    at = 0
    while at < len(rest):
        at_s, note = rest[at]
        if note.what == "sent":
            frames = _together(rest, at)
            yield Moment(at_s, "server", telling.frames(frames))
            at += len(frames)
            continue
        answer = rest[at + 1][1] if at + 1 < len(rest) else note
        if note.what == "asked" and (answer.what, answer.number) == ("answered", note.number):
            yield Moment(at_s, "client", f"{telling.asks(note)}: {answer.detail}")
            at += 2
            continue
        told = telling.tell(note)
        if told is not None:
            yield Moment(at_s, *told)
        at += 1


def _is_told(note: JournalNote) -> bool:
    """Others' own sockets are nobody's business, and a key is seen where it is asked with."""
    return note.what == "somebody" or (note.number >= 0 and note.what != "keyed")


def _together(noted: Sequence[Noted], at: int) -> list[JournalNote]:
    """The frames from here on that go to the same socket without a pause."""
    before_s, first = noted[at]
    frames = []
    for at_s, note in islice(noted, at, None):
        same = (note.what, note.number) == (first.what, first.number)
        if not same or at_s - before_s > PAUSE_S:
            break
        frames.append(note)
        before_s = at_s
    return frames


class _Telling:
    """Entries in words; later ones are told by what earlier ones said."""

    def __init__(self) -> None:
        self._sockets: dict[int, int] = {}
        self._questions: dict[int, str] = {}

    def frames(self, notes: Sequence[JournalNote]) -> str:
        """All that leaves for one socket."""
        counted = Counter(note.detail for note in notes)
        kinds = [f"{kind} x {many}" if many > 1 else kind for kind, many in counted.items()]
        words = ", ".join(shortened_list(kinds, KINDS_MAX))
        return f"sends on {self._socket(notes[0].number)}: {words}"

    def asks(self, note: JournalNote) -> str:
        """A request; its answer is told by it."""
        self._questions[note.number] = note.detail
        return note.detail

    def tell(self, note: JournalNote) -> tuple[Who, str] | None:
        """One entry; None if it adds nothing."""
        number, detail = note.number, note.detail
        match note.what:
            case "knocked":
                name = self._socket(number)
                self._questions[number] = name
                return "client", f"asks for {name}{f' as {detail}' if detail else ''}"
            case "accepted":
                return "server", f"opens {self._socket(number)}"
            case "asked":
                return "client", self.asks(note)
            case "answered":
                return "server", f"answers {detail} to {self._question(number)}"
            case "hung up":
                return "server", f"hangs up on {self._question(number)}"
            case "said":
                return "client", f"says {detail}"
            case "left":
                return "client", f"leaves {self._socket(number)} ({detail})"
            case "closed":
                verb = "cuts" if detail == "abort" else "closes"
                return "server", f"{verb} {self._socket(number)}"
            case "flooded":
                return "server", f"floods {self._socket(number)} with {detail}"
            case "leaked":
                return "client", f"sends {detail}"
            case "somebody":
                return "others", detail
            case "ended":
                return "prompt", f"is over: {detail.partition(' ')[0]}"
        return None

    def _socket(self, number: int) -> str:
        return f"WebSocket {self._sockets.setdefault(number, len(self._sockets) + 1)}"

    def _question(self, number: int) -> str:
        return self._questions.get(number, "a request")


# --- not too many of them --------------------------------------------------------------------


def _once(lines: Sequence[Moment]) -> Iterator[Moment]:
    """Lines without what comes again and again."""
    at = 0
    while at < len(lines):
        period, times = max(
            ((period, _times(lines, at, period)) for period in range(1, PERIOD_MAX + 1)),
            key=lambda both: (both[1] > 2, both[0] * both[1]),
        )
        if times <= 2:
            yield lines[at]
            at += 1
            continue
        yield from lines[at : at + period]
        at += period * times
        what = "this" if period == 1 else f"these {period}"
        again = plural(times - 1, "more time")
        yield Moment(lines[at - 1].at_s, lines[at - 1].who, f"... {what} again, {again}")


def _times(lines: Sequence[Moment], at: int, period: int) -> int:
    """How many times in a row the lines from here on are told."""
    told = [line.words for line in lines[at : at + period]]
    times = 1
    while told == [line.words for line in lines[at + times * period : at + (times + 1) * period]]:
        times += 1
    return times


def _bounded(lines: Sequence[Moment]) -> Sequence[Moment]:
    if len(lines) <= MOMENTS_MAX:
        return lines
    half = MOMENTS_MAX // 2
    left_out = len(lines) - 2 * half
    gap = Moment(lines[half].at_s, lines[half].who, f"... and {plural(left_out, 'line')} more")
    return [*lines[:half], gap, *lines[-half:]]
