"""Which walk a body gets: by what its head says, and by what its first bytes are."""

from __future__ import annotations

import re
from typing import Final

from comfyrec.cassette.redact.form import FormWalk, MultipartWalk, boundary_of
from comfyrec.cassette.redact.pictures import PictureWalk, Search, picture_at
from comfyrec.cassette.redact.spans import Found
from comfyrec.cassette.redact.text import TextWalk
from comfyrec.cassette.redact.walk import Walk

__all__ = ["AnyWalk", "code_type", "is_code", "is_code_target", "type_of", "walk_for"]

BINARY_BYTES_MAX: Final = 1 << 20
"""How much of a binary body is looked into that is not a picture whose chunks we know; beyond it
only known secrets are looked for. Settings and headers stand at the front of such files."""
_START_BYTES: Final = 64
"""By so many first bytes every picture is known."""

_TYPE: Final = re.compile(rb"(?im)^content-type[ \t]*:[ \t]*([^\r\n;]*)")
_CODE_TYPES: Final = re.compile(rb"javascript|ecmascript|css|html|wasm|font|typescript")
_CODE_TARGET: Final = re.compile(
    rb"(?i)\A[A-Z]+ [^ ?#]*\.(?:m?js|css|map|html?|vue|wasm|woff2?|ttf)(?:[?#][^ ]*)? HTTP/"
)
_API_FOLDER: Final = re.compile(rb"(?i)\A[A-Z]+ /(?:api/|internal/|userdata|history/|queue/|jobs/)")
_CODE_START: Final = re.compile(
    rb"(?i)\A(?:\xef\xbb\xbf)?\s*(?:<(?:!doctype html|html)|\{\s*\"version\"\s*:\s*3\s*,\s*\""
    rb"(?:file|sources|mappings|names|sections|sourceRoot)\")"
)
"""Of a page, and of a source map (which holds the scripts that it is of)."""


def is_code_target(head: bytes) -> bool:
    """Whether a request asks for a script, a style or a page. A folder of the API is none."""
    return _CODE_TARGET.match(head) is not None and _API_FOLDER.match(head) is None


def type_of(head: bytes) -> bytes:
    """The media type that a head names, in lower case and without parameters."""
    match = _TYPE.search(head)
    return match[1].strip().lower() if match else b""


def is_code(head: bytes) -> bool:
    """Whether a head says that its body is code. In code only known secrets are looked for: names
    such as ``token`` stand all over it, and nothing of it may change."""
    return code_type(type_of(head))


def code_type(kind: bytes) -> bool:
    """Whether a media type is one of code."""
    return _CODE_TYPES.search(kind) is not None


def walk_for(head: bytes, body: bytes, search: Search, *, code: bool = False) -> Walk:
    """The walk for the body that begins with these bytes behind this head.

    Args:
        code: what was asked for is code, whatever the head says.
    """
    kind = type_of(head)
    if code or code_type(kind):
        return Walk()
    boundary = boundary_of(head, body) if b"multipart" in kind or body.startswith(b"--") else b""
    if boundary:
        return MultipartWalk(boundary, lambda part: walk_for(part, b"", search))
    if b"urlencoded" in kind:
        return FormWalk()
    return AnyWalk(search)


_PREVIEW_START: Final = re.compile(rb"\A\0\0\0[\1\2]\0\0\0[\0-\3]")
"""A message of ComfyUI that says that it is a picture, though not one whose chunks we know."""
_PREVIEW_BYTES: Final = 512
"""How much of each piece of such a picture may be a text before its pixels."""


class AnyWalk(Walk):
    """What its first bytes say that it is: a picture, a page, a text, or other bytes."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self._search = search
        self._text = TextWalk()
        self._picture: PictureWalk | None = None
        self._start = b""
        self._decided = self._is_code = self._is_binary = self._is_preview = False
        self._size = 0
        self._at = 0  # where the picture begins in this piece

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in this piece."""
        self._at = 0
        if self._picture is not None:
            return self._in_picture(piece)
        if not self._decided:
            found = self._decide(piece)
            if found is not None:
                return found
        if self._is_code:
            return []
        self._is_binary = self._is_binary or b"\0" in piece
        self._size += len(piece)
        if self._is_preview:
            return self._in_text(piece[:_PREVIEW_BYTES])
        if self._is_binary and self._size - len(piece) >= BINARY_BYTES_MAX:
            self.unread = "the rest of a long binary body"
            return []
        return self._in_text(piece)

    def _decide(self, piece: bytes) -> list[Found] | None:
        """Say what the body is, once there is enough of it; what is found if it is a picture."""
        before = len(self._start)
        start = self._start + piece
        is_preview = _PREVIEW_START.match(start) is not None
        picture = picture_at(start, _START_BYTES) if is_preview else picture_at(start)
        self._decided = len(start) >= _START_BYTES
        self._start = start[:_START_BYTES]
        if picture is None:
            self._is_code = _CODE_START.match(start) is not None
            self._is_preview = is_preview
            return None
        at, chunk_of = picture
        self._picture = PictureWalk(chunk_of, self._search)
        self._picture.feed(start[at:before])
        self._at = max(0, at - before)
        found = self._in_text(piece[: self._at])
        return found + self._in_picture(piece[self._at :], self._at)

    def _in_picture(self, piece: bytes, at: int = 0) -> list[Found]:
        assert self._picture is not None
        found = self._picture.feed(piece)
        self.learned += self._picture.learned
        self._picture.learned = []
        return [Found(at + f.start, at + f.stop, f.learn) for f in found] if at else found

    def _in_text(self, piece: bytes) -> list[Found]:
        found = self._text.feed_bytes(piece) if self._is_binary else self._text.feed(piece)
        self.learned += self._text.learned
        self._text.learned = []
        return found

    def settle(self, before: bytes, after: bytes) -> bytes:
        """The blanked piece, made right."""
        if self._picture is None:
            return after
        if not self._at:
            return self._picture.settle(before, after)
        settled = self._picture.settle(before[self._at :], after[self._at :])
        return after[: self._at] + settled
