"""A timeline -> the rules of the server's order that its frames broke, each at its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from comfyrec.cassette.records import Side
from comfyrec.errors import DecodeError
from comfyrec.events import decode
from comfyrec.events.order import RULES, Checker, Violation
from comfyrec.timeline import Timeline
from comfyrec.timeline.findings import Finding
from comfyrec.timeline.model import Message

__all__ = ["Order", "broken_rules"]

Numbers = Callable[[str], int | None]
"""prompt_id -> number of the latest prompt with that id."""

_OPENED, _SAID, _CLOSED = 0, 1, 2
FINDINGS_MAX: Final = 500
"""A stream that is all wrong needs no more sentences than that."""


def broken_rules(timeline: Timeline, *, whole: bool = True) -> Iterator[Finding]:
    """One finding for each rule that a frame broke, in order.

    Args:
        timeline: the recording.
        whole: False if it was cut off: prompts that have not ended are fine then.
    """
    numbers = {prompt.prompt_id: prompt.number for prompt in timeline.prompts}
    order, found, start = Order(), 0, timeline.t
    for _, what, socket, message in _stream(timeline):
        if what == _OPENED:
            order.opened(socket)
        elif what == _CLOSED:
            order.closed(socket)
        elif message is not None and found < FINDINGS_MAX:
            for finding in order.fed(message, socket, start, numbers.get):
                found += 1
                yield finding
    if whole:
        yield from order.end(start, numbers.get)


class Order:
    """Takes what the sockets were told, in order; gives what breaks a rule."""

    def __init__(self) -> None:
        self._checker = Checker()

    def opened(self, socket: int) -> None:
        """A socket begins."""
        self._checker.opened(socket)

    def closed(self, socket: int) -> None:
        """It is over."""
        self._checker.closed(socket)

    def fed(self, message: Message, socket: int, start: int, number_of: Numbers) -> list[Finding]:
        """What the next message of a server breaks."""
        return [
            _finding(broken, message, socket, start, number_of)
            for broken in _fed(self._checker, message, socket)
        ]

    def end(self, start: int, number_of: Numbers) -> list[Finding]:
        """What is missing at a clean end."""
        return [
            _finding(broken, None, int(str(broken.socket)), start, number_of)
            for broken in self._checker.end()
        ]


def _stream(timeline: Timeline) -> list[tuple[int, int, int, Message | None]]:
    stream: list[tuple[int, int, int, Message | None]] = []
    for socket in timeline.sockets:
        stream.append((socket.upgrade.request.at, _OPENED, socket.number, None))
        stream += [
            (message.at, _SAID, socket.number, message)
            for message in socket.messages
            if message.side is Side.SERVER
        ]
        if socket.closing is not None:
            stream.append((socket.closing.at, _CLOSED, socket.number, None))
    stream.sort(key=lambda entry: entry[:3])
    return stream


def _fed(checker: Checker, message: Message, socket: int) -> list[Violation]:
    try:
        event = decode(message.data)
    except DecodeError as why:
        return [Violation("fits", None, socket, None, str(why))]
    return checker.feed(event, socket)


def _finding(
    broken: Violation, message: Message | None, socket: int, start: int, number_of: Numbers
) -> Finding:
    return Finding(
        kind=broken.rule,
        severity="breaks",
        t_us=None if message is None else message.t - start,
        sentence=f"against the rule '{RULES[broken.rule]}': {broken.found}",
        at=None if message is None else message.at,
        prompt=number_of(broken.prompt_id or ""),
        socket=socket,
    )
