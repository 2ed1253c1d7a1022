"""Values that have stand-ins, wherever they stand and however they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from comfyrec.cassette.redact.search.known import KnownSecrets, forms_of
from comfyrec.cassette.redact.search.unescaped import ESCAPES, Escape, holds_text

__all__ = ["Edit", "KnownValues", "edited"]

_VALUES_MAX: Final = 50_000
_BYTES_MAX: Final = 16 << 20
"""Values behind these are replaced where a rule finds them, and no longer looked for elsewhere."""
_RUN_BYTES: Final = 8


class Edit(NamedTuple):
    """A stretch of bytes, and what stands there instead; of the same size."""

    start: int
    stop: int
    new: bytes
    kind: str
    """What stood there."""
    name: str = ""
    """Of the member, field or parameter that it was."""


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes with all edits made; where two overlap, the first of the list counts."""
    if not edits:
        return data
    out = bytearray(data)
    taken: list[tuple[int, int]] = []
    for edit in edits:
        if edit.stop - edit.start == len(edit.new):
            out[edit.start : edit.stop] = edit.new
            taken.append((edit.start, edit.stop))
    return bytes(out)


class KnownValues(KnownSecrets):
    """Finds values and says what stands for them there."""

    def __init__(self) -> None:
        super().__init__()
        self._new: dict[bytes, tuple[bytes, str, bool]] = {}
        self._bytes = 0

    def add_pair(self, value: str, standin: str, kind: str) -> None:
        """Look for one more."""
        data, new = (one.encode("utf-8", "replace") for one in (value, standin))
        if len(self._values) >= _VALUES_MAX or self._bytes > _BYTES_MAX or len(data) != len(new):
            return
        if not self.add(data):
            return
        self._bytes += len(data)
        pairs = list(zip(forms_of(data), forms_of(new), strict=True))
        ascii_only = json.dumps(value)[1:-1].encode(), json.dumps(standin)[1:-1].encode()
        if ascii_only[0] not in {one for one, _ in pairs}:
            self.add_form(ascii_only[0])
            pairs.append(ascii_only)
        readable = {data, ascii_only[0]}
        for one, other in pairs:
            whole_words = one in readable or b"%" in one or b"\\" in one or one == data
            self._new.setdefault(one, (other, kind, whole_words))

    def edits(self, data: bytes) -> Iterator[Edit]:
        """All that stand in these bytes."""
        if not self._values:
            return
        for start, stop in self.spans(data):
            other, kind, whole_words = self._new[data[start:stop]]
            if not whole_words or _stands_alone(data, start, stop):
                yield Edit(start, stop, other, kind)
        if b"\0" in data and not holds_text(data, _RUN_BYTES):
            return
        for escape in ESCAPES:
            for low, high in self._around(data, escape):
                yield from self._escaped(data, escape, low, high)

    def _escaped(self, data: bytes, escape: Escape, low: int, high: int) -> Iterator[Edit]:
        view = escape.undone(data[low:high])
        if view.data == data[low:high]:
            return
        for start, stop in self.spans(view.data):
            other, kind, whole_words = self._new[view.data[start:stop]]
            first, last = (low + at for at in view.back(start, stop))
            raw = data[first:last]
            if len(raw) == len(other) or (
                whole_words and not _stands_alone(view.data, start, stop)
            ):
                continue
            yield Edit(first, last, _rewritten(raw, escape, other), kind)


def _is_word(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A or byte >= 0x80


def _stands_alone(data: bytes, start: int, stop: int) -> bool:
    """Whether what begins or ends with a letter is not a piece of a longer word."""
    if (
        start
        and _is_word(data[start])
        and _is_word(data[start - 1])
        and not _is_escape(data, start)
    ):
        return False
    return not (stop < len(data) and _is_word(data[stop - 1]) and _is_word(data[stop]))


def _is_escape(data: bytes, start: int) -> bool:
    """Whether the letter before is the end of an escape: a line feed in JSON, a space in URLs."""
    before = data[max(0, start - 3) : start]
    return before[-2:-1] == b"\\" or before[:1] == b"%"


def _rewritten(raw: bytes, escape: Escape, new: bytes) -> bytes:
    """Other letters, written with the escapes of these; of the same size."""
    out: list[bytes] = []
    at = end = 0
    for match in escape.found_in(raw):
        plain_size = match.start() - end
        out.append(new[at : at + plain_size])
        at += plain_size
        letter = new[at : at + 1]
        same = escape.letter(match) == letter
        out.append(match[0] if same else _escape_like(match[0], letter))
        at += 1
        end = match.end()
    out.append(new[at:])
    return b"".join(out)


def _escape_like(written: bytes, letter: bytes) -> bytes:
    code = letter[0] if letter else 0x78
    if written[:1] == b"%":
        return b"%%%02X" % code
    if written[:2] == b"&#":
        digits = len(written) - 3
        hexadecimal = written[2:3] in b"xX"
        made = b"%x" % code if hexadecimal else b"%d" % code
        room = digits - hexadecimal
        made = made if len(made) <= room else b"88"[:room]
        sign = written[2:3] if hexadecimal else b""
        return b"&#" + sign + made.rjust(room, b"0") + b";"
    if b"u" in written:
        return written[:-4] + b"%04x" % code
    return written
