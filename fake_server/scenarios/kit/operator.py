"""What an operator is: two functions on the way in and out, the steps they may take, and a tally.

An operator sees what happened on its way to the source (``hear``) and what the source does on its
way to the client (``act``). It gives back steps: the same thing to let it pass, another to change
it, none to drop it, ``Later`` to delay it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from fake_server.scenarios.kit.observer import Ending, Observer
from fake_server.source import Action, Happened

__all__ = [
    "Complaint",
    "DoLater",
    "EndPrompts",
    "HearAgain",
    "Operator",
    "RestartSource",
    "Step",
    "Tally",
]


class DoLater(msgspec.Struct, frozen=True):
    """Go on with a step at a later time, from the operator that said so."""

    at: int
    step: Action | Happened | EndPrompts


class HearAgain(msgspec.Struct, frozen=True):
    """Show what happened to the same operator once more at a later time."""

    at: int
    happened: Happened


class RestartSource(msgspec.Struct, frozen=True):
    """The source is gone and a fresh one stands in its place: a process that was restarted."""


class EndPrompts(msgspec.Struct, frozen=True):
    """The client's prompts are over in truth, though no frame and no history says so."""

    ending: Ending


Step = Action | Happened | DoLater | HearAgain | RestartSource | EndPrompts


class Tally:
    """What an operator is called, how often it had something to do, and how often that was felt.

    ``needed``: True, it must have; False, a client may never come there; None, it is only there
    for sources that do not do it by themselves.
    """

    def __init__(self, name: str, *, needed: bool | None = True) -> None:
        self.name, self.needed, self.matched = name, needed, 0
        self.reached = 0
        """How often what it did reached a socket or a request of the client under test."""

    def hit(self, *, reached: bool = True) -> None:
        """It had something to do, with an effect that the client under test can (not) notice."""
        self.matched += 1
        self.reached += reached

    def spent(self, times: int | None) -> bool:
        """It has had something to do so many times already; never where None is the limit."""
        return times is not None and self.matched >= times


class Operator(msgspec.Struct, eq=False):
    """One change of the stream. Build a fresh one for each run: its functions keep state."""

    tally: Tally
    hear: Callable[[Happened, Observer], Iterable[Step]] | None = None
    act: Callable[[Action, Observer], Iterable[Step]] | None = None
    on_frames: bool = False
    """It is about the frames of a run, so a client without a socket does not meet it."""


class Complaint(msgspec.Struct, frozen=True):
    """An operator of which the client under test met nothing."""

    operator: str
    needed: bool
    """False: the client just never asked for it."""
    missed: bool = False
    """It did something, and before the client had a socket that would have shown it."""

    def __str__(self) -> str:
        if self.missed:
            return f"the frame for '{self.operator}' passed before the client's socket was open"
        if self.needed:
            return f"the operator '{self.operator}' matched nothing that was sent or asked"
        return f"the client never came to '{self.operator}'"
