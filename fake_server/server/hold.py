"""A source that a test stops after a chosen frame, or event of a stream, and lets go on.

The gate passes everything through unchanged until a hold matches a frame. That frame is still
sent. The actions after it wait, and the source is not woken, so that its state stays at that frame.
Requests and messages of clients are passed on and answered meanwhile, as a real server answers
requests while its worker computes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_type_hints

import msgspec

from comfyrec.errors import DecodeError, UsageError
from comfyrec.events import comfy_json, decode
from comfyrec.events.schema import KNOWN
from comfyrec.http.request import loads_or_none
from comfyrec.wording import did_you_mean
from fake_server.source import (
    Abort,
    Action,
    Close,
    Happened,
    Respond,
    RespondMore,
    Send,
    SendPing,
    SendRaw,
    Source,
    Wake,
    Woke,
    Wrapper,
)

__all__ = ["Gate", "Hold", "check_hold", "matches"]

ANY_FRAME: Final = "*"
"""In place of an event's type: the next frame, of whatever type."""


class Hold(msgspec.Struct, eq=False):
    """Stop after the first frame that fits; ``reached`` says whether it has come."""

    event: str
    where: Mapping[str, Any] = {}
    reached: bool = False
    message: str | bytes | None = None
    settled: bool = False
    """Whether nobody needs to hear that it was never reached: it was dropped, or somebody waited
    for it in vain and was told."""

    def __str__(self) -> str:
        return ", ".join([self.event, *(f"{name}={value!r}" for name, value in self.where.items())])


_BINARY: Final = ("preview", "text")


def check_hold(event: str, where: Mapping[str, Any]) -> None:
    """Refuse what was most likely meant to be something else, before it is waited for in vain.

    A type of a custom node's own is taken, unless it is all but one of ComfyUI's; so is any field
    of such a type.

    Raises:
        UsageError: a type or a field that nearly is a known one.
    """
    from comfyrec.events.v2 import EVENTS  # a server starts without them

    names = [*KNOWN, *_BINARY, *EVENTS, ANY_FRAME]
    if event not in names:
        meant = get_close_matches(event, names, n=1, cutoff=0.8)
        if meant:
            raise UsageError(f"no frame is of the type '{event}'; did you mean '{meant[0]}'?")
        return
    data = get_type_hints(KNOWN[event]).get("data") if event in KNOWN else None
    fields = (*getattr(data, "__struct_fields__", ()),)
    if fields and event in EVENTS:
        fields += EVENTS[event].__struct_fields__
    for name in where if fields else ():
        if name not in fields:
            hint = did_you_mean(name, fields, otherwise=f"it has {', '.join(fields)}")
            raise UsageError(f"'{event}' has no field '{name}'; {hint}")


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


def _event_matches(text: str, event: str, where: Mapping[str, Any]) -> bool:
    """The same for an event of a stream, as ``{"event", "data"}``."""
    value = loads_or_none(text)
    return event in (ANY_FRAME, value["event"]) and _fits(value["data"], where)


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
        self._missed_wake = False
        self._changed, self._note = changed, note

    # --- the source protocol -------------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Pass on what happened, but no ``Woke`` while it is held."""
        if self.held is None:
            yield from self._through(self.inner.handle(happened, now))
        elif isinstance(happened, Woke):
            self._missed_wake = True
        else:
            yield from self.inner.handle(happened, now)
        self._changed()

    def facts(self) -> Mapping[str, Any]:
        """The source's facts, and what it is held at."""
        return {**self.inner.facts(), "held_at": str(self.held) if self.held else None}

    def _through(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Pass on actions until a frame meets a hold; what is sent after it waits."""
        for action in actions:
            if self.held is not None and isinstance(
                action, (Send, SendPing, SendRaw, Close, Abort, RespondMore)
            ):
                self._waiting.append(action)
                continue
            yield action
            if not self.holds:
                continue
            if isinstance(action, Send):
                self._look_at(action.message, matches)
            elif isinstance(action, RespondMore):
                self._look_at_events(bytes(action.data))
            elif isinstance(action, Respond) and action.more:
                self._look_at_events(action.answer.in_memory().body)

    def _look_at_events(self, piece: bytes) -> None:
        """The events in a piece of a stream; surfaces never divide one."""
        if b"data:" not in piece:
            return
        from comfyrec.events.sse import ServerSentEvents  # a server starts without them

        for event in ServerSentEvents().feed(piece):
            text = comfy_json({"event": event.event, "data": loads_or_none(event.data)})
            self._look_at(text, _event_matches)

    def _look_at(
        self, message: str | bytes, fits: Callable[[Any, str, Mapping[str, Any]], bool]
    ) -> None:
        for hold in self.holds:
            if not hold.reached and fits(message, hold.event, hold.where):
                hold.reached, hold.message = True, message
                self.held = hold
                self._note("held", f"at {hold}")
                return

    # --- for a test --------------------------------------------------------------------------

    def hold_at(self, event: str, where: Mapping[str, Any]) -> Hold:
        """Stop after the next frame that fits."""
        hold = Hold(event, where)
        self.holds.append(hold)
        return hold

    def release(self, now: int) -> Iterator[Action]:
        """Go on: first with the actions that wait, then with the source."""
        held, self.held = self.held, None
        if held is None:
            return
        self.holds.remove(held)
        self._note("released", f"from {held}")
        waiting, self._waiting = self._waiting, deque()
        yield from self._through(waiting)
        if self._missed_wake and self.held is None:
            self._missed_wake = False
            yield Wake(now)
        self._changed()

    def step(self, now: int) -> Iterator[Action]:
        """Let exactly one more frame out, and hold again."""
        self.hold_at(ANY_FRAME, {}).settled = True  # whoever steps waits for the frame
        yield from self.release(now)

    def forget(self, hold: Hold) -> None:
        """Drop a hold that has not been reached."""
        hold.settled = True
        if hold in self.holds and not hold.reached:
            self.holds.remove(hold)
