"""ComfyUI's JSON: what Python's ``json`` writes by default, and all that it reads.

The server dumps with Python's defaults (protocol.md section 1): ``", "`` and ``": "`` between
things, everything outside ASCII as ``\\uXXXX`` (lone surrogates too), and the bare tokens ``NaN``,
``Infinity`` and ``-Infinity``, which no strict parser takes. msgspec is strict and fast, so it goes
first everywhere; this module is the second look.
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from comfyrec.errors import DecodeError

__all__ = ["Message", "comfy_json", "read_json"]

Message = str | bytes
"""One text message: as a client library gives it, or its UTF-8 bytes."""

BAD_INPUT: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What msgspec, json, Python's codecs (a ``ValueError``) and its stack raise for bad input."""

NOT_UTF8: Final = "not JSON: a text that is not UTF-8"

# Python refuses to read integers of more than 4300 digits; no double holds one of 400.
_INT_DIGITS_MAX: Final = 400


def comfy_json(value: Any) -> str:
    """Write a value the way a ComfyUI server does: byte for byte what its ``json.dumps`` gives.

    Takes what json takes, and the structs of this package. The server's HTTP bodies have the same
    style.
    """
    return _quoted(value) if type(value) is str else _encode(value)


def read_json(message: Message) -> Any:
    """Read whatever Python's ``json`` reads: NaN, Infinity, lone surrogates, any number.

    Raises:
        DecodeError: not JSON, not UTF-8, or nested too deeply for Python.
    """
    try:
        return msgspec.json.decode(message)
    except BAD_INPUT:
        pass  # strictly it is none; the second look may still read it
    try:
        return _decode(message if isinstance(message, str) else bytes(message).decode())
    except BAD_INPUT as broken:
        raise DecodeError(why_not_json(broken), message) from None


def why_not_json(error: Exception) -> str:
    """The sentence for input that is not JSON."""
    kind = type(error)
    if kind is UnicodeDecodeError:
        return NOT_UTF8
    if kind is RecursionError:
        return "nested too deeply to be a message"
    return f"not JSON: {error}"


def text_of(message: Message | memoryview) -> str:
    """The message as text; what is not UTF-8 in it reads as U+FFFD."""
    return message if isinstance(message, str) else bytes(message).decode("utf-8", "replace")


def members(struct: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """The fields of a struct that are written: (name on the wire, attribute).

    Fields that default to ``None`` are left out when they are, names in parentheses always.
    """
    defaults = struct.__struct_defaults__
    required = len(struct.__struct_fields__) - len(defaults)
    pairs = zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
    for number, (name, attribute) in enumerate(pairs):
        optional = number >= required and defaults[number - required] is None
        if not name.startswith("(") and not (optional and getattr(struct, attribute) is None):
            yield name, attribute


def _plain(struct: Any) -> dict[str, Any] | list[Any]:
    if not isinstance(struct, msgspec.Struct):
        raise TypeError(f"{type(struct).__name__} is nothing that JSON holds")
    if struct.__struct_config__.array_like:
        return [getattr(struct, attribute) for attribute in struct.__struct_fields__]
    return {name: getattr(struct, attribute) for name, attribute in members(struct)}


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_DIGITS_MAX else float(digits)


_decode = json.JSONDecoder(parse_int=_int).decode
_quoted = json.encoder.encode_basestring_ascii


def _encoder() -> Callable[[Any], str]:
    """The encoder that ``json.dumps`` makes anew for each call, made once where that is possible.

    No search for circles: what is written comes from messages, and a circle is an error anyway.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python that has it not in C
        return json.JSONEncoder(check_circular=False, default=_plain).encode
    pieces = make(None, _plain, _quoted, None, ": ", ", ", False, False, True)
    return lambda value: "".join(pieces(value, 0))


_encode = _encoder()
