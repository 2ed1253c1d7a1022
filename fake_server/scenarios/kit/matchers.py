"""message -> what an operator looks at: its type, its data, whose prompt, which binary kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.events.frames import text_frame
from comfyrec.http.request import loads_or_none
from comfyrec.wire.frames import CONTINUATION, TEXT, frame, payload_of

__all__ = [
    "ANYTHING",
    "FrameView",
    "Match",
    "all_of",
    "any_of",
    "anything",
    "binary",
    "dump",
    "event",
    "framed",
    "look",
    "no_node",
    "some_node",
    "unframed",
]

_quick = msgspec.json.Decoder()

_NO_DATA: Final[Mapping[str, Any]] = {}


class FrameView(msgspec.Struct, frozen=True):
    """One message on its way to a socket, as far as it can be understood."""

    message: str | bytes
    type: str = ""
    """The event's ``type``; empty for binary frames and for what is not an event."""
    data: Mapping[str, Any] = _NO_DATA
    kind: int | None = None
    """The first four bytes of a binary frame, None for text."""
    is_early: bool = False
    """A lifelike run has not come to its middle yet."""

    @property
    def prompt_id(self) -> str | None:
        """Whose frame it is; None when it does not say (``status``, old kinds of previews)."""
        found = self.data.get("prompt_id")
        return found if isinstance(found, str) else None


Match = Callable[[FrameView], bool]


def look(message: str | bytes) -> FrameView:
    """Read a message without ever failing: what is not an event has an empty ``type``."""
    if isinstance(message, bytes):
        return _look_at_bytes(message)
    try:
        value = _quick.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # NaN and Infinity, which ComfyUI sends and strict JSON does not know (protocol.md 1).
        value = loads_or_none(message)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return FrameView(message)
    data = value.get("data")
    return FrameView(message, value["type"], data if isinstance(data, dict) else {})


def _look_at_bytes(message: bytes) -> FrameView:
    kind = int.from_bytes(message[:4], "big") if len(message) >= 4 else -1
    return FrameView(message, kind=kind)


dump = text_frame
"""An event, by type and data, as ComfyUI's server writes it."""


def framed(message: str | bytes, *, parts: int = 1) -> bytes:
    """A server's WebSocket frame, or ``parts`` fragments of one message (RFC 6455 section 5.4)."""
    opcode, payload = payload_of(message)
    size = max(1, -(-len(payload) // parts))
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(opcode if number == 0 else CONTINUATION, piece, final=number == last)
        for number, piece in enumerate(pieces)
    )


def unframed(data: bytes) -> list[str | bytes]:
    """Whole frames of a server -> their messages."""
    messages: list[str | bytes] = []
    opcode, payload = 0, b""
    # Few scenarios write bytes of their own; servers start without the reader of them.
    from comfyrec.wire.websocket import FrameReader, Unread

    for part in FrameReader().feed(data):
        if isinstance(part, Unread):
            continue
        opcode, payload = part.head[0] & 0x0F or opcode, payload + part.payload
        if part.head[0] & 0x80:
            messages.append(payload.decode() if opcode == TEXT else payload)
            payload = b""
    return messages


# --- matchers --------------------------------------------------------------------------------

ANYTHING: Final = object()
"""A value that fits whatever stands there, as long as the field is there."""


def anything(_: FrameView) -> bool:
    """Every frame, text or binary."""
    return True


def event(*types: str, **where: Any) -> Match:
    """Events of these types (any, when none is named) whose data has these fields."""

    def fits(frame: FrameView) -> bool:
        if not frame.type or (types and frame.type not in types):
            return False
        return all(
            name in frame.data and (value is ANYTHING or frame.data[name] == value)
            for name, value in where.items()
        )

    return fits


def no_node(frame: FrameView) -> bool:
    """``executing`` with a null node: the prompt has left the executor."""
    return frame.type == "executing" and frame.data.get("node", "") is None


def some_node(frame: FrameView) -> bool:
    """``executing`` with a node; in a lifelike run, one in the middle of the graph or an output."""
    return frame.type == "executing" and frame.data.get("node") is not None and not frame.is_early


def binary(*kinds: int) -> Match:
    """Binary frames of these kinds, of any kind when none is named."""
    return lambda frame: frame.kind is not None and (not kinds or frame.kind in kinds)


def any_of(*matches: Match) -> Match:
    """One of them fits."""
    return lambda frame: any(match(frame) for match in matches)


def all_of(*matches: Match) -> Match:
    """All of them fit."""
    return lambda frame: all(match(frame) for match in matches)


class Nth:
    """True once: at the ``nth`` frame that fits."""

    def __init__(self, match: Match, nth: int = 1) -> None:
        self._match, self._left = match, nth

    def __call__(self, frame: FrameView) -> bool:
        """Whether this is the frame; counts it if it fits."""
        if self._left > 0 and self._match(frame):
            self._left -= 1
            return self._left == 0
        return False


class Since:
    """True after the ``nth`` frame that fits, not yet for that one; always where none is named."""

    def __init__(self, match: Match | None, nth: int = 1) -> None:
        self._opens, self._open = Nth(match, nth) if match else None, match is None

    def __call__(self, frame: FrameView) -> bool:
        """Whether the frame has passed already; counts this one if it fits."""
        was_open = self._open
        if self._opens is not None and self._opens(frame):
            self._open = True
        return was_open
