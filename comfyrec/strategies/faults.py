"""A label and a position -> what goes wrong with the frames of a run, once.

A fault speaks of the server's stream: frames are counted from 0, from the first one after the
accepted ``POST /prompt``; what a connection is greeted with does not count. So the same fault does
the same to a stream in memory and to a live client, whenever that connects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from comfyrec.strategies.messages import Message
from comfyrec.wording import shortened
from fake_server.scenarios import Operator
from fake_server.scenarios.kit import FrameView, crash
from fake_server.scenarios.kit.observer import Observer
from fake_server.scenarios.kit.operator import Step, Tally
from fake_server.source import Abort, Action, Close, Send

SHOWN: Final = 48
"""Of each message that comes additionally, in a failing example."""

__all__ = ["FAULTS", "Fault", "Kind", "is_greeting", "operator"]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What one label means."""

    what: str
    shows: bool | None
    """Whether decoder and order checker find it; None: that depends on where it is."""
    keeps: tuple[str, ...] = ()
    """The invariants that it tries, beside those of every run."""
    recoverable: bool = True
    """Whether the history still tells the truth, so that a correct client reports it too."""


FAULTS: Final[Mapping[str, Kind]] = {
    "dropped": Kind(what="the frame at the position never arrives", shows=None),
    "duplicated": Kind(what="the frame at the position arrives twice", shows=None),
    "swapped": Kind(what="the frame at the position and the next change places", shows=None),
    "truncated": Kind(
        what="the message at the position is cut off and reads as nothing",
        shows=True,
        keeps=("K6",),
    ),
    "misfit": Kind(
        what="a known type with a wrong payload comes before the frame at the position",
        shows=True,
        keeps=("K6",),
    ),
    "malformed": Kind(
        what="something that is not an event comes before the frame at the position",
        shows=True,
        keeps=("K6",),
    ),
    "unknown": Kind(
        what="an unknown type comes before the frame at the position",
        shows=False,
        keeps=("K6",),
    ),
    "large": Kind(
        what="a message of many MB comes before the frame at the position",
        shows=False,
        keeps=("K6",),
    ),
    "foreign": Kind(
        what="frames of somebody else's prompt come before the frame at the position",
        shows=None,
        keeps=("K4",),
    ),
    "silence": Kind(
        what="from the position on nothing arrives any more, and the socket stays open", shows=None
    ),
    "cut": Kind(what="the connection ends before the frame at the position", shows=False),
    "restarted": Kind(
        what="the server dies before the frame at the position, and comes back knowing nothing",
        shows=False,
        recoverable=False,
    ),
}
"""label -> what it means."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong."""

    label: str
    """A key of ``FAULTS``."""
    position: int
    extra: tuple[Message, ...] = ()
    """The messages that come additionally, for labels that add some."""
    code: int | None = None
    """With ``cut``: the close code; None: no close frame at all (1006)."""

    @property
    def kind(self) -> Kind:
        """What the label means."""
        return FAULTS[self.label]

    def __repr__(self) -> str:
        code = "" if self.code is None else f" with {self.code}"
        shown = ", ".join(_short(message) for message in self.extra[:3])
        more = f": {shown}" if shown else ""
        return f"{self.label}{code} at {self.position}{more}"


def _short(message: Message) -> str:
    return shortened(repr(message), SHOWN)


def is_greeting(frame: FrameView) -> bool:
    """Whether a frame belongs to a new connection, not to the run of a prompt."""
    if frame.type == "executing":
        return "prompt_id" not in frame.data and frame.data.get("node") is not None
    return frame.type == "feature_flags" or (frame.type == "status" and "sid" in frame.data)


def operator(fault: Fault) -> Operator:
    """A fresh operator that does it to one run."""
    return _restarted(fault) if fault.label == "restarted" else _of_frames(fault)


# --- frames --------------------------------------------------------------------------------------


class _Counted:
    """The number of a frame in the run."""

    def __init__(self) -> None:
        self.count = 0

    def number(self, frame: FrameView) -> int | None:
        """Count a frame; None for one of a greeting."""
        if is_greeting(frame):
            return None
        self.count += 1
        return self.count - 1


Change = Callable[[Fault, int, Send, Observer], Iterable[Step]]


def _of_frames(fault: Fault) -> Operator:
    # A client may be done, or never have begun, before the fault comes.
    tally, counted = Tally(fault.label, needed=None), _Counted()
    change = _CHANGES[fault.label]()

    def act(action: Action, observer: Observer) -> Iterator[Step]:
        if not isinstance(action, Send):
            yield action
            return
        number = counted.number(observer.frame(action.message))
        if number == fault.position:
            tally.hit()
        yield from change(fault, -1 if number is None else number, action, observer)

    return Operator(tally, act=act)


def _dropped(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
    return () if number == fault.position else (send,)


def _duplicated(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
    return (send, send) if number == fault.position else (send,)


def _swapped() -> Change:
    kept: list[Send] = []

    def change(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
        if number == fault.position:
            kept.append(send)
            return ()
        if number < 0:  # a greeting
            return (send,)
        steps = (send, *kept)
        kept.clear()
        return steps

    return change


def _truncated(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
    if number != fault.position:
        return (send,)
    return (Send(send.sockets, _cut_off(send.message)),)


def _cut_off(message: Message) -> Message:
    # The pictures of binary frames have no length of their own: only a torn header shows.
    return message[: len(message) // 2] if isinstance(message, str) else message[:6]


def _added(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
    if number != fault.position:
        return (send,)
    return (*(Send(send.sockets, message) for message in fault.extra), send)


def _silence() -> Change:
    deaf: set[int] = set()

    def change(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
        if number == fault.position:
            deaf.update(observer.sockets)
        others = tuple(socket for socket in send.sockets if socket not in deaf)
        return (Send(others, send.message),)

    return change


def _cut(fault: Fault, number: int, send: Send, observer: Observer) -> Iterable[Step]:
    if number != fault.position:
        return (send,)
    code = fault.code
    return [Abort(one) if code is None else Close(one, code) for one in list(observer.sockets)]


_CHANGES: Final[Mapping[str, Callable[[], Change]]] = {
    "dropped": lambda: _dropped,
    "duplicated": lambda: _duplicated,
    "swapped": _swapped,
    "truncated": lambda: _truncated,
    "misfit": lambda: _added,
    "malformed": lambda: _added,
    "unknown": lambda: _added,
    "large": lambda: _added,
    "foreign": lambda: _added,
    "silence": _silence,
    "cut": lambda: _cut,
}


# --- the server ----------------------------------------------------------------------------------


def _restarted(fault: Fault) -> Operator:
    counted = _Counted()

    def is_the_moment(frame: FrameView) -> bool:
        return counted.number(frame) == fault.position

    dies = crash("restarted", at=is_the_moment, instead=True, back_ms=0)
    dies.tally.needed = None
    return dies
