"""Pictures and films: the texts beside their pixels, and checksums that stay right.

PNG, JPEG, WebP and MP4 are rows of chunks that say their own length. Those that hold pixels are
passed over; all others are walked as texts.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from comfyrec.cassette.content_coding import same_size
from comfyrec.cassette.redact.spans import Found, Learn, blanked
from comfyrec.cassette.redact.text import TextWalk
from comfyrec.cassette.redact.walk import Walk

__all__ = ["PictureWalk", "picture_at"]

PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_INFLATED_BYTES_MAX: Final = 16 << 20
_TO_THE_END: Final = 1 << 62
LOOK_BYTES: Final = 8 << 10
"""A picture may stand behind a message's own header, or the metadata of a preview."""

Search = Callable[[bytes], list[Found]]


class _Chunk(NamedTuple):
    """What a header says of the bytes behind it."""

    header: int
    """Bytes of the header."""
    size: int
    is_text: bool
    kind: bytes = b""
    checksum: int = 0
    """Bytes of a checksum behind them, over kind and bytes."""


def _of_png(data: bytes) -> _Chunk | None:
    if data.startswith(PNG):
        return _Chunk(8, 0, False)
    if len(data) < 8:
        return None
    kind = data[4:8]
    size = int.from_bytes(data[:4], "big")
    if not kind.isalpha():
        return _Chunk(8, _TO_THE_END, True)
    return _Chunk(8, size, kind not in _PIXELS, kind, 4)


_PIXELS: Final = frozenset((b"IDAT", b"fdAT", b"PLTE", b"iCCP", b"IEND", b"IHDR"))


def _of_jpeg(data: bytes) -> _Chunk | None:
    if len(data) < 4:
        return None
    marker = data[1]
    if data[0] != 0xFF or marker == 0xDA:  # what follows is pixels, up to the end
        return _Chunk(2, _TO_THE_END, False)
    if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
        return _Chunk(1 if marker == 0xFF else 2, 0, False)
    is_text = 0xE0 <= marker <= 0xEF or marker == 0xFE
    return _Chunk(4, max(0, int.from_bytes(data[2:4], "big") - 2), is_text)


def _of_riff(data: bytes) -> _Chunk | None:
    if len(data) < 12:
        return None
    if data.startswith(b"RIFF"):
        return _Chunk(12, 0, False)
    size = int.from_bytes(data[4:8], "little")
    return _Chunk(8, size + (size & 1), data[:4] in (b"EXIF", b"XMP ", b"LIST"))


def _of_mp4(data: bytes) -> _Chunk | None:
    if len(data) < 16:
        return None
    size, kind = int.from_bytes(data[:4], "big"), data[4:8]
    header = 8
    if size == 1:
        size, header = int.from_bytes(data[8:16], "big"), 16
    left = _TO_THE_END if size == 0 else max(0, size - header)
    return _Chunk(header, left, kind not in (b"mdat", b"free", b"skip"))


def picture_at(
    data: bytes, within: int = LOOK_BYTES
) -> tuple[int, Callable[[bytes], _Chunk | None]] | None:
    """Where a picture or film begins in these first bytes, and how its chunks are read."""
    found = data.find(PNG, 0, within)
    if found >= 0:
        return found, _of_png
    found = data.find(b"ftyp", 4, within)
    if found >= 4 and data[found - 4 : found - 2] == b"\0\0":
        return found - 4, _of_mp4
    found = data.find(b"RIFF", 0, within)
    if found >= 0 and data[found + 8 : found + 12] == b"WEBP":
        return found, _of_riff
    found = data.find(_JPEG, 0, within)
    if found >= 0 and data[found + 3 : found + 4] >= b"\xc0":
        return found, _of_jpeg
    return None


class PictureWalk(Walk):
    """One picture or film, from its first byte on.

    Args:
        chunk_of: reads the header of a chunk.
        search: where known secrets stand, for texts that are deflated inside.
    """

    def __init__(self, chunk_of: Callable[[bytes], _Chunk | None], search: Search) -> None:
        super().__init__()
        self._chunk_of, self._search = chunk_of, search
        self._head = b""
        self._chunk = _Chunk(0, 0, False)
        self._left = self._checksum_left = 0
        self._text: TextWalk | None = None
        self._packed: _PackedText | None = None
        self._crc = self._checksum_done = 0
        self._dirty = False
        # Of this piece: kinds, bytes and checksums of chunks in order, and new packed texts.
        self._stretches: list[tuple[int, int, bytes, bool]] = []
        self._patches: list[tuple[int, int, bytes]] = []

    def feed(self, piece: bytes) -> list[Found]:
        """Where secrets stand in the texts of this piece."""
        found: list[Found] = []
        self._stretches, self._patches = [], []
        at = 0
        while at < len(piece):
            if self._left:
                at = self._content(piece, at, found)
            elif self._checksum_left:
                stop = min(len(piece), at + self._checksum_left)
                self._stretches.append((at, stop, b"", True))
                self._checksum_left -= stop - at
                at = stop
            else:
                at = self._header(piece, at)
        return found

    def _header(self, piece: bytes, at: int) -> int:
        begun = len(self._head)
        chunk = self._chunk_of(self._head + piece[at : at + 32 - begun])
        if chunk is None:
            self._head += piece[at:]
            return len(piece)
        self._head = b""
        self._chunk = chunk
        self._left, self._checksum_left = chunk.size, chunk.checksum
        self._text = TextWalk() if chunk.is_text else None
        self._packed = _PackedText(chunk.kind) if chunk.kind in (b"zTXt", b"iTXt") else None
        self._stretches.append((at, at, chunk.kind, False))
        return max(at, at + chunk.header - begun)

    def _content(self, piece: bytes, at: int, found: list[Found]) -> int:
        stop = min(len(piece), at + self._left)
        if stop - at == len(piece) and not self._text:
            content = piece
        else:
            content = piece[at:stop] if self._text else b""
        whole = self._left == self._chunk.size == stop - at
        self._left -= stop - at
        if self._text is not None:
            secrets = self._text.feed_bytes(content)
            found += [Found(at + f.start, at + f.stop, f.learn) for f in secrets]
            self.learned += self._text.learned
            self._text.learned = []
        if self._packed is not None:
            self._unpacked(self._packed, content, at, found, whole=whole)
        self._stretches.append((at, stop, b"", False))
        return stop

    def _unpacked(
        self, packed: _PackedText, content: bytes, at: int, found: list[Found], *, whole: bool
    ) -> None:
        text, begin = packed.more(content)
        if not text:
            return
        secrets = packed.walk.feed(text)
        self.learned += [text[f.start : f.stop] for f in secrets if f.learn] + packed.walk.learned
        packed.walk.learned = []
        secrets += self._search(text)
        if not secrets and not packed.spoiled:
            return
        changed, _ = blanked(text, secrets)
        again = same_size(changed, b"deflate", len(content) - begin) if whole else None
        if again is not None:
            self._patches.append((at + begin, at + len(content), again))
        else:  # what is deflated cannot be changed in the middle
            packed.spoiled = True
            found.append(Found(at + begin, at + len(content), Learn.NEVER))

    def settle(self, before: bytes, after: bytes) -> bytes:
        """The piece with packed texts changed, and checksums of changed chunks made right."""
        dirty = self._dirty or before != after or bool(self._patches)
        if not self._chunk.checksum and not self._patches:
            return after
        out = bytearray(after) if dirty else after
        for start, stop, new in self._patches:
            out[start:stop] = new  # type: ignore[index]  # dirty, so it is a bytearray
        for start, stop, kind, is_checksum in self._stretches:
            if is_checksum:
                if self._dirty and stop - start:
                    self._right(out, start, stop)
            elif kind:
                self._crc, self._dirty, self._checksum_done = zlib.crc32(kind), False, 0
            else:
                self._crc = zlib.crc32(memoryview(out)[start:stop], self._crc)
                self._dirty = self._dirty or before[start:stop] != out[start:stop]
        return bytes(out) if dirty else after

    def _right(self, out: bytearray | bytes, start: int, stop: int) -> None:
        checksum = self._crc.to_bytes(4, "big")
        done = self._checksum_done
        out[start:stop] = checksum[done : done + stop - start]  # type: ignore[index]  # as above
        self._checksum_done += stop - start


class _PackedText:
    """The deflated text of a chunk zTXt or iTXt, in as many pieces as it comes in."""

    def __init__(self, kind: bytes) -> None:
        self._kind = kind
        self._head = b""
        self._inflater: zlib._Decompress | None = None
        self._is_plain = False
        self.walk = TextWalk()
        self.spoiled = False

    def more(self, content: bytes) -> tuple[bytes, int]:
        """What this piece adds to the text, and where in it the deflated bytes begin."""
        begin = 0
        if self._inflater is None:
            if self._is_plain:
                return b"", 0
            head = self._head + content
            at = self._packed_at(head)
            if at < 0:
                self._head = head[:_HEAD_BYTES_MAX]
                return b"", 0
            begin = max(0, at - len(self._head))
            self._inflater = zlib.decompressobj()
        try:
            return self._inflater.decompress(content[begin:], _INFLATED_BYTES_MAX), begin
        except zlib.error:
            self._is_plain, self._inflater = True, None
            return b"", 0

    def _packed_at(self, head: bytes) -> int:
        """Where the deflated bytes begin; -1 when that has not come yet."""
        keyword = head.find(b"\0")
        if keyword < 0 or len(head) < keyword + 3:
            return -1
        if self._kind == b"zTXt":
            return keyword + 2
        if head[keyword + 1] != 1:
            self._is_plain = True
            return -1
        language = head.find(b"\0", keyword + 3)
        translated = head.find(b"\0", language + 1) if language >= 0 else -1
        return translated + 1 if translated >= 0 else -1


_HEAD_BYTES_MAX: Final = 4096
