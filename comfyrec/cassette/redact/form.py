"""Forms, as they come in pieces: ``name=value&...`` and multipart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from comfyrec.cassette.redact.address import parameters
from comfyrec.cassette.redact.rules import Place, is_secret, need_of
from comfyrec.cassette.redact.search.unescaped import form_undone
from comfyrec.cassette.redact.spans import Found
from comfyrec.cassette.redact.text import TextWalk, found_in
from comfyrec.cassette.redact.walk import Walk

__all__ = ["FormWalk", "MultipartWalk", "boundary_of"]

_CARRY_BYTES: Final = 4096
_BOUNDARY: Final = re.compile(
    rb"(?i)multipart/[\w.+-]+[^\r\n]*?;\s*boundary=(?:\"([^\"\r\n]{1,70})\"|([^\s;,\r\n]{1,70}))"
)
_FIRST_LINE: Final = re.compile(rb"--([\w'()+,\-./:=? ]{1,70})\r\n[Cc]ontent-")
_PART_HEAD_BYTES_MAX: Final = 16384
_SECRET_FILE_BYTES_MAX: Final = 16384
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_NAME: Final = re.compile(rb"(?i)[;\s]name=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")
_FILENAME: Final = re.compile(rb"(?i)[;\s]filename\*?=")


def boundary_of(head: bytes, body: bytes) -> bytes:
    """What divides a multipart body, by its head or by its first line; empty when it is none."""
    match = _BOUNDARY.search(head) or _FIRST_LINE.match(body)
    return next(filter(None, match.groups()), b"") if match else b""


class FormWalk(Walk):
    """A body of ``application/x-www-form-urlencoded``; texts that are not such a form as well."""

    def __init__(self) -> None:
        super().__init__()
        self._carry = b""
        self._text = TextWalk()

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in this piece."""
        data, offset = self._carry + piece, len(self._carry)
        view = form_undone(data)
        every = [*parameters(data), *(found_in(view) if view is not None else ())]
        walked = [(f, data[f.start : f.stop]) for f in every]
        begin = data.rfind(b"&", 0, -1) + 1
        self._carry = data[begin:][-_CARRY_BYTES:]
        self.learned += [value for f, value in walked if f.start < offset < f.stop]
        found = [Found(max(0, f.start - offset), f.stop - offset, f.learn) for f, _ in walked]
        found += self._text.feed(piece)
        self.learned += self._text.learned
        self._text.learned = []
        return [f for f in found if f.stop > 0]


class _Field(Walk):
    """One field of a form whose name says that its value is a secret."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._value = name, b""

    def feed(self, piece: bytes) -> list[Found]:
        """All of it, once it looks like one."""
        self._value += piece
        if is_secret(self._name, self._value.strip(), Place.QUERY):
            return [Found(0, len(piece))]
        return []

    def end(self) -> None:
        """The field is complete."""
        if is_secret(self._name, self._value.strip(), Place.QUERY):
            self.learned.append(self._value.strip())


class _FileField(Walk):
    """A file under such a name: a secret if it is a short text, and read as what it is if not."""

    def __init__(self, name: str, content: Walk) -> None:
        super().__init__()
        self._name, self._content = name, content
        self._chosen: Walk | None = None

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in this piece."""
        if self._chosen is None:
            is_text = len(piece) <= _SECRET_FILE_BYTES_MAX and _BINARY.search(piece) is None
            self._chosen = _Field(self._name) if is_text else self._content
        found = self._chosen.feed(piece)
        self.learned, self._chosen.learned = self._chosen.learned, []
        return found

    def settle(self, before: bytes, after: bytes) -> bytes:
        """The blanked piece, made right."""
        return after if self._chosen is None else self._chosen.settle(before, after)

    def end(self) -> None:
        """The file is complete."""
        if self._chosen is not None:
            self._chosen.end()
            self.learned, self._chosen.learned = self._chosen.learned, []


class MultipartWalk(Walk):
    """A multipart body: its parts, each walked as what it is."""

    def __init__(self, boundary: bytes, content: Callable[[bytes], Walk]) -> None:
        super().__init__()
        self._mark = b"--" + boundary
        self._content = content
        self._part: Walk | None = None
        self._head: bytes | None = None  # of a part, as far as it has come
        self._head_walk = TextWalk()
        self._pending = b""  # the end of the piece before, which may begin a boundary
        self._settling: list[tuple[Walk, int, int]] = []

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in this piece."""
        found: list[Found] = []
        self._settling = []
        at = 0
        while at < len(piece):
            at = (
                self._in_head(piece, at, found)
                if self._head is not None
                else self._in_part(piece, at, found)
            )
        return found

    def _in_head(self, piece: bytes, at: int, found: list[Found]) -> int:
        begun = self._head or b""
        whole = begun + piece[at:]
        end = whole.find(b"\r\n\r\n")
        stop = len(piece) if end < 0 else max(at, at + end - len(begun))
        fields = self._head_walk.feed(piece[at:stop])
        found += [Found(at + f.start, at + f.stop, f.learn) for f in fields]
        self.learned += self._head_walk.learned
        self._head_walk.learned = []
        if whole.startswith(b"--"):  # behind the last part
            self._head, self._part = None, None
            return len(piece)
        if end < 0:
            self._head = whole[:_PART_HEAD_BYTES_MAX]
            return len(piece)
        self._head, self._pending = None, b""
        self._part = self._begun(whole[:end])
        return at + end + 4 - len(begun)

    def _begun(self, head: bytes) -> Walk:
        match = _NAME.search(head)
        name = (match[1] or match[2] or b"").decode("utf-8", "replace") if match else ""
        if need_of(name, Place.QUERY) is None:
            return self._content(head)
        if _FILENAME.search(head) is None:
            return _Field(name)
        return _FileField(name, self._content(head))

    def _in_part(self, piece: bytes, at: int, found: list[Found]) -> int:
        before = self._pending
        window = before + piece[at:]
        mark = window.find(self._mark)
        if mark >= 0:
            end, behind = mark, at + mark + len(self._mark) - len(before)
            end -= 2 if window[:mark].endswith(b"\r\n") else 0
            self._pending = b""
        else:
            end, behind = len(window) - _begun_at_end(window, b"\r\n" + self._mark), len(piece)
            self._pending = window[end:]
        if self._part is not None:
            self._walk(self._part, window[: max(end, 0)], at - len(before), found)
        if mark >= 0:
            self._end_of_part()
            self._head, self._head_walk = b"", TextWalk()
        return behind

    def _walk(self, part: Walk, content: bytes, at: int, found: list[Found]) -> None:
        if not content:
            return
        found += [
            Found(max(0, at + f.start), at + f.stop, f.learn)
            for f in part.feed(content)
            if at + f.stop > 0
        ]
        self._settling.append((part, at, at + len(content)))
        self._take_learned(part)

    def _end_of_part(self) -> None:
        if self._part is not None:
            self._part.end()
            self._take_learned(self._part)
        self._part = None

    def _take_learned(self, part: Walk) -> None:
        self.learned += part.learned
        part.learned = []

    def end(self) -> None:
        """The body is complete."""
        self._end_of_part()

    def settle(self, before: bytes, after: bytes) -> bytes:
        """Let each part make right what depends on its bytes."""
        out = after
        for part, start, stop in self._settling:
            low = max(start, 0)
            settled = part.settle(before[low:stop], out[low:stop])
            if settled is not out:
                out = out[:low] + settled + out[stop:]
        return out


def _begun_at_end(data: bytes, mark: bytes) -> int:
    """How many of the last bytes may be the first ones of a mark."""
    return next(
        (
            size
            for size in range(min(len(mark) - 1, len(data)), 0, -1)
            if data.endswith(mark[:size])
        ),
        0,
    )
