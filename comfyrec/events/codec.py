"""message -> event -> message. One pass when it fits, a second look when it does not.

Strategy: looking at a message in Python before decoding costs more than decoding it whole, and so
does any work after it. So each message goes straight to one decoder over a union of all known
types, and what that gives is the event. Fields that are not in the schema, nulls where a field may
be missing, and a missing field that may be null do not fit there: for them the second look keeps
the message itself.

Types that are not in the schema would always need a second look; extensions send some of them
every second. So a type that comes a second time is learned: its own class joins the union. The
number of learned types is bounded: a server that makes up types cannot grow the memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Union

import msgspec

from comfyrec.errors import DecodeError

from .binary import BinaryEvent, Frame, decode_binary, encode_binary
from .lazy_fields import NOT_ON_THE_WIRE, NOT_SENT
from .python_json import BAD_INPUT, NOT_UTF8, Message, comfy_json, read_json, why_not_json
from .schema import KNOWN, Data, Event, Misfit, TextEvent, Unknown

__all__ = ["decode", "decode_text", "encode"]

LEARNED_MAX: Final = 64
"""Building a decoder takes time in the square of its types: a millisecond at 250."""
NAME_CHARS_MAX: Final = 128
"""Longer names are never learned."""
MET_MAX: Final = 256
"""Unknown types met before learning ends: a server that sends so many invents them."""


def _decoder(learned: dict[str, type[Unknown]]) -> Any:
    every = (*KNOWN.values(), *learned.values())
    return msgspec.json.Decoder(Union[every]).decode  # noqa: UP007  # made at run time


_decode_any = msgspec.json.Decoder(Unknown).decode
_keep = msgspec.structs.force_setattr
_Misfit = msgspec.ValidationError

# Replaced, never changed, so that no thread sees a half of it. When two threads learn at once, one
# of the two types may stay unlearned, which costs time and nothing else.
_learned: dict[str, type[Unknown]] = {}
_decode = _decoder(_learned)
# Unknown types that were met -> whether to learn them when they come again.
_met: dict[str, bool] = {}
_learning = True


def decode(message: str | Frame) -> Event:
    """Turn one websocket message into one event.

    Args:
        message: ``str`` for a text message; ``bytes`` (or another buffer) for a binary one.

    Returns:
        An event of the schema; ``Unknown`` or ``UnknownBinary`` for a type that is not in it;
        ``Misfit`` or ``BinaryMisfit`` for a known one whose payload does not fit.

    Raises:
        DecodeError: no ComfyUI message at all: not JSON, not an object with a ``type``, a torn
            binary header. Nothing else is raised for any input.
    """
    return decode_text(message) if isinstance(message, str) else decode_binary(message)


def decode_text(message: Message) -> TextEvent:
    """Turn one text message into one event.

    Args:
        message: the text, or its UTF-8 bytes. Another buffer must not change while the event lives.

    Returns:
        An event of the schema, ``Unknown``, or ``Misfit``: a known type's payload is missing, or a
        field of it is of the wrong kind. Missing fields are ``None``. The entries of
        ``progress_state`` and of ``logs``, and the data of ``Unknown``, are looked at when they are
        read: entries that do not fit are then left out and named in ``data.misfits``, and what is
        not UTF-8 reads as U+FFFD.

    Raises:
        DecodeError: not JSON, or not an object with a ``type``.
    """
    try:
        return _decode(message)  # type: ignore[no-any-return]  # the union is made at run time
    except _Misfit:
        pass  # a type that is not in the union, or a payload that does not fit
    except UnicodeDecodeError:
        raise DecodeError(NOT_UTF8, message) from None
    except BAD_INPUT as broken:
        if _may_be_python_json(message):
            return _fit(message)
        raise DecodeError(why_not_json(broken), message) from None
    try:
        event = _decode_any(message)
    except BAD_INPUT as broken:
        return _no_event(message, broken)
    if event.type in KNOWN:
        return _fit(message)
    _keep(event, "kept", message)
    if _learning:
        _meet(event)
    return event


def _meet(event: Unknown) -> None:
    """Remember a type that was met for the first time, learn it the second time."""
    global _learning
    name = event.type
    if _met.get(name, False):
        _met[name] = False
        _learn(event)
    elif name not in _met and len(name) <= NAME_CHARS_MAX:
        _met[name] = True
    _learning = len(_met) < MET_MAX and len(_learned) < LEARNED_MAX


def _learn(event: Unknown) -> None:
    """Take a type into the union, if its sender writes as a server does: see ``TextEvent.raw``."""
    global _learned, _decode
    if event.written() != event.raw:
        return
    name = event.type
    fields = [("type", NOT_ON_THE_WIRE, msgspec.field(default=name, name="(type)"))]
    family: Any = msgspec.defstruct(
        "Unknown",
        fields,
        bases=(Unknown,),
        tag_field="type",
        tag=name,
        frozen=True,
        gc=False,
        forbid_unknown_fields=True,
    )
    _learned = {**_learned, name: family}
    _decode = _decoder(_learned)


def _no_event(message: Message, broken: Exception) -> TextEvent:
    """Something is wrong after the place where the first pass stopped."""
    if isinstance(broken, _Misfit):
        raise DecodeError(f"no message of ComfyUI: {broken}", message) from None
    if _may_be_python_json(message):
        return _fit(message)
    raise DecodeError(why_not_json(broken), message) from None


_N, _I, _BACKSLASH = b"NI\\"


def _may_be_python_json(message: Message) -> bool:
    """Whether it may hold what only Python's json reads: NaN, Infinity, a lone surrogate."""
    if isinstance(message, str):
        return "N" in message or "I" in message or "\\" in message or not message.isascii()
    return _N in message or _I in message or _BACKSLASH in message


# --- the second look at a known type -----------------------------------------------------------


def _fit(message: Message) -> TextEvent:
    """Take what the schema knows, read with Python's json if need be; keep the message."""
    plain = read_json(message)
    name = plain.get("type") if isinstance(plain, dict) else None
    if not isinstance(name, str):
        raise DecodeError("no message of ComfyUI: no object with a type that is a text", message)
    if name not in KNOWN:
        return Unknown(name, plain.get("data", NOT_SENT), kept=message)
    try:
        event = msgspec.convert({**_trimmed(plain, KNOWN[name]), "type": name}, KNOWN[name])
    except BAD_INPUT as misfit:
        return Misfit(name, str(misfit), plain.get("data", NOT_SENT), kept=message)
    _keep(event, "kept", message)
    return event


def _trimmed(plain: Any, struct: Any) -> Any:
    """What the schema knows of an object; a missing field of a payload is null."""
    if not isinstance(plain, dict):
        return plain
    known = {
        name: inside(plain[name])
        for name, required, inside in _fields(struct)
        if name in plain and (required or plain[name] is not None)
    }
    if issubclass(struct, Data):
        return {name: None for name, required, _ in _fields(struct) if required} | known
    return known


@cache
def _fields(struct: Any) -> list[tuple[str, bool, Any]]:
    return [
        (field.encode_name, field.required, _inside(field.type))
        for field in msgspec.structs.fields(struct)
    ]


def _inside(kind: Any) -> Any:
    if kind is msgspec.Raw:
        return lambda plain: msgspec.Raw(comfy_json(plain).encode())
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return lambda plain: _trimmed(plain, kind)
    return lambda plain: plain


# --- event -> message --------------------------------------------------------------------------


def encode(event: Event) -> str | bytes:
    """Turn an event into its message: ``str`` for text, ``bytes`` for a binary frame.

    An event that was decoded gives the message it came from (see ``TextEvent.raw``); one that was
    built, or changed with ``msgspec.structs.replace``, is written as a ComfyUI server writes it.

    Raises:
        ValueError: it is nested too deeply to be written from here.
    """
    if isinstance(event, BinaryEvent):
        return encode_binary(event)
    assert isinstance(event, TextEvent), f"{type(event).__name__} is not an event of a message"
    try:
        written = event.written()
        if event.kept is not None and decode_text(event.kept).written() == written:
            return event.raw
    except (RecursionError, DecodeError):  # it came from a place with more room on the stack
        raise ValueError("the event is nested too deeply to be written") from None
    return written
