"""A text as it is written (in JSON, in an address, as UTF-16) <-> what it says, character by
character, so that another text of the same form can be written in the same way and size."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Written", "in_address", "in_json", "in_utf16", "plain"]

_JSON_UNIT: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|"
    rb"[\x00-\x7f]|[\xc2-\xf4][\x80-\xbf]+|[\x80-\xff]",
    re.DOTALL,
)
_BYTE: Final = re.compile(rb"%[0-9a-fA-F]{2}|.", re.DOTALL)
_SIGNS: Final = {b"n": "\n", b"t": "\t", b"r": "\r", b"b": "\b", b"f": "\f"}


class Written(NamedTuple):
    """A text, and the way in which it is written."""

    text: str
    units: tuple[bytes, ...] = ()
    """As it is written: of JSON one for each character, of an address one for each byte."""
    way: str = "plain"

    def written(self, other: str) -> bytes:
        """Another text of the same form, written in the same way; of the same size."""
        if self.way == "json":
            return b"".join(map(_json_unit, self.units, self.text, other))
        if self.way == "address":
            old = self.text.encode("utf-8", "surrogateescape")
            new = other.encode("utf-8", "surrogateescape")
            return b"".join(map(_address_unit, self.units, old, new))
        if self.way.startswith("utf-16"):
            return other.encode(self.way, "surrogatepass")
        return other.encode("utf-8", "surrogateescape")


def plain(raw: bytes) -> Written:
    """UTF-8 without escapes; bytes that are none stay as they are."""
    return Written(raw.decode("utf-8", "surrogateescape"))


def in_json(raw: bytes) -> Written:
    """What stands between the quotes of a JSON string."""
    if b"\\" not in raw:
        return plain(raw)
    units = tuple(_JSON_UNIT.findall(raw))
    return Written("".join(map(_json_char, units)), units, "json")


def _json_char(unit: bytes) -> str:
    if unit[:1] != b"\\":
        return unit.decode("utf-8", "surrogateescape")[:1]
    if unit[1:2] == b"u":
        code = int(unit[2:6], 16)
        if len(unit) == 12:
            code = 0x10000 + ((code - 0xD800) << 10) + int(unit[8:], 16) - 0xDC00
        return chr(code)
    return _SIGNS.get(unit[1:], unit[1:].decode("latin-1"))


def _json_unit(unit: bytes, old: str, new: str) -> bytes:
    if old == new:
        return unit
    if unit[:2] == b"\\u":
        code = ord(new)
        if len(unit) == 12:
            code -= 0x10000
            return b"\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
        return b"\\u%04x" % code
    if unit[:1] == b"\\":
        return unit
    return new.encode("utf-8", "surrogateescape")


def in_address(raw: bytes, *, plus: bool = False) -> Written:
    """A part of an address, or of a form, where a plus is a space."""
    if b"%" not in raw and not (plus and b"+" in raw):
        return plain(raw)
    units = tuple(_BYTE.findall(raw))
    data = bytes(_address_byte(unit, plus=plus) for unit in units)
    return Written(data.decode("utf-8", "surrogateescape"), units, "address")


def _address_byte(unit: bytes, *, plus: bool) -> int:
    if len(unit) == 3:
        return int(unit[1:], 16)
    return 0x20 if plus and unit == b"+" else unit[0]


def _address_unit(unit: bytes, old: int, new: int) -> bytes:
    if old == new:
        return unit
    if len(unit) == 3:
        return b"%%%02X" % new if unit.upper() == unit else b"%%%02x" % new
    return bytes((new,))


def in_utf16(raw: bytes, *, big: bool) -> Written:
    """UTF-16 without a mark at its front."""
    way = "utf-16-be" if big else "utf-16-le"
    return Written(raw.decode(way, "surrogatepass"), (), way)
