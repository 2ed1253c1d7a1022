"""A timeline -> the rules of the server's order that its frames broke, each at its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from comfyrec.cassette.records import Side
from comfyrec.errors import DecodeError
from comfyrec.events import decode
from comfyrec.events.order import RULES, Checker, Violation
from comfyrec.timeline import Timeline
from comfyrec.timeline.findings import Finding
from comfyrec.timeline.model import Message

__all__ = ["broken_rules"]

_OPENED, _SAID, _CLOSED = 0, 1, 2
FINDINGS_MAX: Final = 500
"""A stream that is all wrong needs no more sentences than that."""


def broken_rules(timeline: Timeline, *, whole: bool = True) -> Iterator[Finding]:
    """One finding for each rule that a frame broke, in order.

    Args:
        timeline: the recording.
        whole: False if it was cut off: prompts that have not ended are fine then.
    """
    checker, found = Checker(), 0
    for _, what, socket, message in _stream(timeline):
        if what == _OPENED:
            checker.opened(socket)
        elif what == _CLOSED:
            checker.closed(socket)
        elif message is not None and found < FINDINGS_MAX:
            for broken in _fed(checker, message, socket):
                found += 1
                yield _finding(broken, message, socket, timeline)
    for broken in checker.end() if whole else ():
        yield _finding(broken, None, int(str(broken.socket)), timeline)


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
    broken: Violation, message: Message | None, socket: int, timeline: Timeline
) -> Finding:
    numbers = [p.number for p in timeline.prompts if p.prompt_id == broken.prompt_id]
    return Finding(
        kind=broken.rule,
        severity="breaks",
        t_us=None if message is None else message.t - timeline.t,
        sentence=f"against the rule '{RULES[broken.rule]}': {broken.found}",
        at=None if message is None else message.at,
        prompt=numbers[-1] if numbers else None,
        socket=socket,
    )
