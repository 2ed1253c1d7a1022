"""A source under a test's control: it stops at a chosen event and goes on when told.

The gate stands between a source and its shell. Everything passes through unchanged until a hold
matches a frame. That frame is still sent; what the source had ready behind it waits, and so does
the source itself: it is not woken, so its state stays at that event. What clients ask or say in
the meantime is passed in and answered, for a real server's network side goes on while its worker
computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.errors import DecodeError
from comfyrec.events import decode
from fake_server.source import (
    Abort,
    Action,
    Close,
    Happened,
    Send,
    SendPing,
    SendRaw,
    Source,
    Wake,
    Woke,
    Wrapper,
)

__all__ = ["Gate", "Hold", "matches"]

ANY_FRAME: Final = "*"
"""Instead of an event's type: the next frame, whatever it is."""


class Hold(msgspec.Struct, eq=False):
    """Stop after the first frame that fits; ``reached`` says whether it came."""

    event: str
    where: Mapping[str, Any] = {}
    reached: bool = False
    message: str | bytes | None = None

    def __str__(self) -> str:
        return ", ".join([self.event, *(f"{name}={value!r}" for name, value in self.where.items())])


def matches(message: str | bytes, event: str, where: Mapping[str, Any]) -> bool:
    """Whether a frame is of that type and has those fields.

    ``event`` is the ``type`` of a text frame, or ``preview`` or ``text`` for binary ones. ``where``
    compares fields of the event's ``data`` (``node``, ``prompt_id``, ``value``, ...); a field that
    the event does not have does not fit.
    """
    if event == ANY_FRAME:
        return True
    try:
        decoded = decode(message)
    except DecodeError:
        return False
    if isinstance(message, bytes):
        kind = {1: "preview", 3: "text", 4: "preview"}.get(int.from_bytes(message[:4], "big"))
        return kind == event and _fits(decoded, where)
    data = getattr(decoded, "data", None)
    return getattr(decoded, "type", None) == event and _fits(data, where)


def _fits(data: Any, where: Mapping[str, Any]) -> bool:
    missing = object()

    def get(name: str) -> Any:
        return (
            data.get(name, missing) if isinstance(data, Mapping) else getattr(data, name, missing)
        )

    return all(get(name) == value for name, value in where.items())


class Gate(Wrapper):
    """Wraps a source; the module's docstring says what a hold stops and what it does not.

    Args:
        inner: what behaves.
        changed: called when a hold is reached or released, and after anything that happened.
        note: takes ``held`` or ``released`` and a text, for the journal.
    """

    def __init__(
        self,
        inner: Source,
        *,
        changed: Callable[[], None] = lambda: None,
        note: Callable[[str, str], None] = lambda what, text: None,
    ) -> None:
        super().__init__(inner)
        self.holds: list[Hold] = []
        self.held: Hold | None = None
        self._waiting: deque[Action] = deque()
        self._slept_through = False
        self._changed, self._note = changed, note

    # --- the shell's side ----------------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Pass on what happened, unless the source is to sleep; look at what it wants done."""
        if self.held is None:
            yield from self._through(self.inner.handle(happened, now))
        elif isinstance(happened, Woke):
            self._slept_through = True
        else:
            yield from self.inner.handle(happened, now)
        self._changed()

    def facts(self) -> Mapping[str, Any]:
        """The source's facts, and what it is held at."""
        return {**self.inner.facts(), "held_at": str(self.held) if self.held else None}

    def _through(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Actions until one of them meets a hold; frames behind it wait."""
        for action in actions:
            if self.held is not None and isinstance(
                action, (Send, SendPing, SendRaw, Close, Abort)
            ):
                self._waiting.append(action)
                continue
            yield action
            if isinstance(action, Send) and self.holds:
                self._look_at(action.message)

    def _look_at(self, message: str | bytes) -> None:
        for hold in self.holds:
            if not hold.reached and matches(message, hold.event, hold.where):
                hold.reached, hold.message = True, message
                self.held = hold
                self._note("held", f"at {hold}")
                return

    # --- the test's side -----------------------------------------------------------------------

    def hold_at(self, event: str, where: Mapping[str, Any]) -> Hold:
        """Stop after the next frame that fits."""
        hold = Hold(event, where)
        self.holds.append(hold)
        return hold

    def release(self, now: int) -> Iterator[Action]:
        """Go on: first what had been ready, then the source."""
        held, self.held = self.held, None
        if held is None:
            return
        self.holds.remove(held)
        self._note("released", f"from {held}")
        waiting, self._waiting = self._waiting, deque()
        yield from self._through(waiting)
        if self._slept_through and self.held is None:
            self._slept_through = False
            yield Wake(now)
        self._changed()

    def step(self, now: int) -> Iterator[Action]:
        """Let exactly one more frame out, and hold again."""
        self.hold_at(ANY_FRAME, {})
        yield from self.release(now)

    def forget(self, hold: Hold) -> None:
        """Drop a hold that has not been reached."""
        if hold in self.holds and not hold.reached:
            self.holds.remove(hold)
