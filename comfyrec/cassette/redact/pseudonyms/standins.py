"""A value that tells something -> its stand-in: of the same size and form, the same all through a
recording, and made of nothing but the order in which values were met.

A stand-in has a letter for each letter, a digit for each digit, and every sign where it was. So it
has as many bytes as the value in every way of writing it (with escapes, percent signs, in UTF-16),
names keep their endings, and paths their folders. It holds a number and filling: ``alice`` becomes
``axxxx``, the next name of five letters ``bxxxx``. Nothing of it is computed from the value, so
nobody can guess a value and check the guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from comfyrec.cassette.redact.pseudonyms.vocabulary import (
    PRODUCTS,
    is_harmless_stem,
    is_path_word,
    is_vocabulary,
)

__all__ = ["StandIns", "comparable", "form_of", "is_standin"]

_LOWER: Final = "xabcdefghijklmnopqrstuvwyz"
_UPPER: Final = _LOWER.upper()
_DIGITS: Final = "0123456789"
_TWO_BYTES: Final = "\u00e9"
_THREE_BYTES: Final = "\u5b57"
_FOUR_BYTES: Final = "\U00020000"
_VALUES_MAX: Final = 500_000
"""Of more values, those that are met later get the plain filling."""
_CHARACTERS_MAX: Final = 1 << 16
"""The same of longer values."""
_NUMBERED_MAX: Final = 4
"""So many letters or digits at the front of a stand-in hold its number."""
_BLANKED: Final = re.compile(r"x{4,}")
_HEX_ID: Final = re.compile(
    r"([0-9a-fA-F]{8})(-?)([0-9a-fA-F]{4})(-?)([0-9a-fA-F]{4})(-?)([0-9a-fA-F]{4})(-?)([0-9a-fA-F]{12})"
)
_ID_FILL: Final = "0000", "4000", "8000", "000000000000"
_IP: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IP6: Final = re.compile(r"[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}")


def _filling(char: str) -> str:
    if "a" <= char <= "z":
        return "x"
    if "A" <= char <= "Z":
        return "X"
    if "0" <= char <= "9":
        return "0"
    if char < "\x80" or "\ud800" <= char <= "\udfff" or char.isspace():
        return char  # a space that is not ASCII parts words as well
    return _wide_filling(char)


def _wide_filling(char: str) -> str:
    if char < "\u0800":
        return char if "\x80" <= char < "\xa0" else _TWO_BYTES
    return _THREE_BYTES if char <= "\uffff" else _FOUR_BYTES


class _Forms(dict[int, str]):
    """For ``str.translate``: each character and its filling, made when it is first met."""

    def __missing__(self, code: int) -> str:
        filling = self[code] = _filling(chr(code))
        return filling


_FORMS: Final = _Forms()


def form_of(value: str) -> str:
    """What a value and its stand-in have in common: letters, digits and signs, not which."""
    return value.translate(_FORMS)


def comparable(value: str) -> str:
    """The same for a value and its stand-in, ids and addresses included."""
    return form_of(_IP.sub("#", _HEX_ID.sub("#", value)))


def _alphabet(filling: str) -> str:
    return _ALPHABETS.get(filling, "")


_ALPHABETS: Final = {
    "x": _LOWER,
    "X": _UPPER,
    "0": _DIGITS,
    _TWO_BYTES: "".join(map(chr, range(0xE9, 0xF7))),
    _THREE_BYTES: "".join(map(chr, range(0x5B57, 0x5BD7))),
    _FOUR_BYTES: "".join(map(chr, range(0x20000, 0x20080))),
}


def _numbered(form: str, number: int) -> str:
    """The form with a number in its first letters and digits, the lowest digit first."""
    out, left = list(form), number
    for at, filling in enumerate(form):
        alphabet = _alphabet(filling)
        if alphabet and left:
            left, digit = divmod(left, len(alphabet))
            out[at] = alphabet[digit]
        elif not left:
            break
    return "".join(out)


def is_standin(value: str) -> bool:
    """Whether a value can be a stand-in: in each of its words nothing but filling behind a few
    letters, or a word that is left everywhere."""
    value = _HEX_ID.sub(lambda m: "" if m.group(3, 5, 7, 9) == _ID_FILL else m[0], value)
    if not all(map(_MADE_IP.match, _IP.findall(value))):
        return False
    return all(map(_is_filled, _ALNUM.findall(value)))


_MADE_IP: Final = re.compile(r"10{0,2}\.10{0,2}\.")


_ALNUM: Final = re.compile(r"[^\W_]+")


def _is_filled(word: str) -> bool:
    if word.isdigit() or is_path_word(word) or is_harmless_stem(word) or is_vocabulary(word):
        return True
    if word.lower() in PRODUCTS:
        return True
    plain = [char == _filling(char) for char in word]
    first = plain.index(True) if True in plain else len(plain)
    return first <= _NUMBERED_MAX and all(plain[first:]) and (len(word) < 3 or first < len(word))


class StandIns:
    """The stand-ins of one recording."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self.kinds: dict[str, str] = {}
        """Value -> what it is."""

    def __len__(self) -> int:
        return len(self._of)

    def items(self) -> Iterator[tuple[str, str, str]]:
        """(kind, value, stand-in) of all values, in the order in which they were met."""
        for value, standin in self._of.items():
            yield self.kinds.get(value, ""), value, standin

    def is_given(self, text: str) -> bool:
        """Whether a text stands for a value already."""
        return text in self._values

    def take(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Use these stand-ins again.

        Raises:
            ValueError: one has not the form of its value, or stands for two values.
        """
        for kind, value, standin in rows:
            is_id = _HEX_ID.fullmatch(value) or _IP.fullmatch(value) or _IP6.fullmatch(value)
            if len(value) != len(standin) or (form_of(value) != form_of(standin) and not is_id):
                raise ValueError(f"{standin!r} does not have the form of what it stands for")
            if self._values.get(standin, value) != value:
                raise ValueError(f"{standin!r} stands for two values")
            self._of[value], self._values[standin] = standin, value
            self.kinds[value] = kind
            self._count(value, standin)

    def _count(self, value: str, standin: str) -> None:
        """New values get numbers behind those that were taken."""
        if _HEX_ID.fullmatch(value) and _HEX_ID.fullmatch(standin):
            number = int(standin[:8], 16)
            self._numbers[value.replace("-", "").lower()] = number
            self._numbers["id"] = max(number, self._numbers.get("id", 0))
        else:
            is_ip = _IP.fullmatch(value) is not None
            form = "ip" if is_ip else "ip6" if _IP6.fullmatch(value) else form_of(value)
            self._numbers[form] = self._numbers.get(form, 0) + 1

    def of(self, value: str, kind: str) -> str:
        """The stand-in of a value; a value of the form of an id or address gets one of that form.

        What was blanked as a secret stays: another stand-in would be taken for one.

        Args:
            value: a whole name, id or text.
            kind: what it is, for the map that is kept at home.
        """
        known = self._of.get(value)
        if known is not None:
            return known
        if _BLANKED.fullmatch(value):
            return value
        if len(self._of) >= _VALUES_MAX or len(value) > _CHARACTERS_MAX:
            return form_of(value)
        made = self._made(value)
        self._of[value] = made
        self._values.setdefault(made, value)
        self.kinds[value] = kind
        return made

    def _made(self, value: str) -> str:
        match = _HEX_ID.fullmatch(value)
        if match:
            return self._id(match)
        if _IP.fullmatch(value):
            return self._address(value)
        if _IP6.fullmatch(value):
            return self._address6(value)
        return self._word(value)

    def _word(self, value: str) -> str:
        form = form_of(value)
        if form == value and not any(map(_alphabet, form)):
            return form  # signs only, or nothing to number
        for _ in range(64):
            number = self._numbers[form] = self._numbers.get(form, 0) + 1
            made = _numbered(form, number)
            if made != value and made not in self._values and not is_vocabulary(made):
                return made
        return form

    def _id(self, match: re.Match[str]) -> str:
        """The same number with and without dashes, in upper and lower case."""
        value = match[0].replace("-", "").lower()
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers["id"] = self._numbers.get("id", 0) + 1
            self._numbers[value] = number
        first = f"{number:08x}"
        dashes = match.group(2, 4, 6, 8)
        return first + "".join(dash + fill for dash, fill in zip(dashes, _ID_FILL, strict=True))

    def _address(self, value: str) -> str:
        """Of documentation's kind as far as the sizes of its numbers allow."""
        number = self._numbers["ip"] = self._numbers.get("ip", 0) + 1
        sizes = [len(part) for part in value.split(".")]
        first = ["1" + "0" * (size - 1) for size in sizes[:2]]
        rest: list[str] = []
        for size in reversed(sizes[2:]):
            low = 10 ** (size - 1)
            room = 100 if size == 3 else 9 * low
            number, digit = divmod(number, room)
            rest.insert(0, str(low + digit))
        return ".".join(first + rest)

    def _address6(self, value: str) -> str:
        number = self._numbers["ip6"] = self._numbers.get("ip6", 0) + 1
        digits = sum(char != ":" for char in value)
        written = iter(f"{number:0{digits}x}"[-digits:])
        return "".join(char if char == ":" else next(written) for char in value)
