"""Pictures and films, whole: the texts beside their pixels, and the pixels themselves.

What comes out has the size of what went in, and readers of the format take it: checksums are right,
boxes and chunks say their lengths. Pixels become one colour in the same width and height; what is
left over of their bytes is filling that readers pass over.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from comfyrec.cassette.content_coding import same_size
from comfyrec.cassette.redact.pictures import PNG
from comfyrec.cassette.redact.pseudonyms.blank_image import solid_picture
from comfyrec.cassette.redact.pseudonyms.json_values import Mode
from comfyrec.cassette.redact.pseudonyms.known_values import edited
from comfyrec.cassette.redact.pseudonyms.substitutes import Substitutes
from comfyrec.cassette.redact.pseudonyms.written import in_utf16, plain

__all__ = ["blob", "is_media", "media"]

_INFLATED_BYTES_MAX: Final = 16 << 20
_RAW_BYTES_MAX: Final = 256 << 20
"""No picture of ComfyUI has more bytes of pixels; a larger one loses them unreadably."""
_CRITICAL: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"fdAT", b"fcTL", b"acTL"))
_LEFT: Final = frozenset(
    (b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"tRNS", b"bKGD", b"hIST", b"tIME")
)
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# (first column, first row, distance of columns, of rows) of the passes of an interlaced picture.
_PASSES: Final = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
    (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip

_RUN: Final = re.compile(rb"(?:[\x20-\x7e\t\r\n]|[\xc2-\xf4][\x80-\xbf]{1,3}){5,}")
_RUN_LE: Final = re.compile(rb"(?:[\x20-\x7e\t\r\n]\0){5,}")
_RUN_BE: Final = re.compile(rb"(?:\0[\x20-\x7e\t\r\n]){5,}")
_NAMED: Final = re.compile(r"(?s)\s*([A-Za-z_]{1,20})\s*[:=]\s*(?=[\[{])")
_MARKUP: Final = re.compile(rb">([^<>]{2,})<|(?<!xmlns)=\"([^\"<>]{2,})\"")
_FIXED_RUNS: Final = re.compile(
    rb"Exif|JFIF|ASCII|UNICODE|ICC_PROFILE|Photoshop 3\.0|http://ns\.adobe\.com/[a-z/.0-9]*|"
    rb"Adobe|isom|iso2|avc1|mp41|mdirappl|mdtacom\.[a-z.]+|ComfyUI"
)


def is_media(data: bytes) -> bool:
    """Whether a body is a picture or a film of a known format, by its first bytes."""
    return _way(data) is not None


def _way(data: bytes) -> Callable[[bytes, Substitutes], bytes] | None:
    if data.startswith(PNG):
        return _png
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    if data[4:8] == b"ftyp":
        return _mp4
    return _gif if data[:6] in (b"GIF87a", b"GIF89a") else None


def media(data: bytes, substitutes: Substitutes) -> bytes:
    """The same picture or film without what it tells; bytes of another kind as they are."""
    way = _way(data)
    if way is None:
        return data
    key = "pixels", substitutes.place, ""
    counted = substitutes.seen[key]
    new = way(data, substitutes)
    if "pixels" in substitutes.trusted and way(data, Substitutes({"pixels"})) == data:
        substitutes.seen[key] = counted  # of one colour already
    return new if len(new) == len(data) else data


def _hides_pixels(substitutes: Substitutes) -> bool:
    if "pixels" not in substitutes.kinds or substitutes.known_only:
        return False
    if substitutes.learns_only:
        return False
    substitutes.seen["pixels", substitutes.place, ""] += 1
    return True


# --- texts ---------------------------------------------------------------------------------------


def text_of_metadata(raw: bytes, name: str, substitutes: Substitutes) -> bytes:
    """A text beside pixels: JSON of a workflow, or whatever somebody wrote there."""
    written = plain(raw)
    return written.written(_said(written.text, name, substitutes))


def _said(text: str, name: str, substitutes: Substitutes) -> str:
    named = _NAMED.match(text)
    front = named[0] if named else ""
    rest = text[len(front) :]
    name = named[1] if named else name
    if not rest.strip() or substitutes.known_only:
        return _plain(text, substitutes)
    if rest.lstrip()[:1] in ("{", "["):
        mode = Mode.PLAIN if name.lower() == "prompt" else Mode.TOLD
        data = rest.encode("utf-8", "surrogateescape")
        return front + edited(data, substitutes.edits(data, mode, name)).decode(
            "utf-8", "surrogateescape"
        )
    if "text" not in substitutes.kinds or name in ("Software", "software"):
        return _plain(text, substitutes)
    substitutes.note("text", text, name)
    return substitutes.text("text", text)


def _plain(text: str, substitutes: Substitutes) -> str:
    data = text.encode("utf-8", "surrogateescape")
    return edited(data, substitutes.edits(data)).decode("utf-8", "surrogateescape")


def blob(data: bytes, substitutes: Substitutes) -> bytes:
    """Bytes with texts in them: EXIF, XMP, boxes of a film."""
    out = bytearray(data)
    for pattern, big in ((_RUN_LE, False), (_RUN_BE, True)):
        for match in pattern.finditer(data):
            wide = in_utf16(match[0], big=big)
            out[match.start() : match.end()] = wide.written(_said(wide.text, "", substitutes))
    _unicode_comment(out, substitutes)
    for match in _RUN.finditer(bytes(out)):
        run = match[0]
        if _FIXED_RUNS.fullmatch(run.rstrip()):
            continue
        is_markup = run.lstrip()[:1] == b"<"
        new = _markup(run, substitutes) if is_markup else text_of_metadata(run, "", substitutes)
        out[match.start() : match.end()] = new
    return bytes(out)


def _unicode_comment(out: bytearray, substitutes: Substitutes) -> None:
    """A comment of EXIF in letters that are not all ASCII."""
    at = bytes(out).find(b"UNICODE\0")
    if at < 0:
        return
    begin = stop = at + 8
    while stop + 1 < len(out) and out[stop : stop + 2] != b"\0\0":
        stop += 2
    raw = bytes(out[begin:stop])
    if _RUN_LE.match(raw) or _RUN_BE.match(raw):
        return  # found already
    is_big = raw[::2].count(0) >= raw[1::2].count(0)
    try:
        wide = in_utf16(raw, big=is_big)
    except UnicodeDecodeError:
        return
    out[begin:stop] = wide.written(_said(wide.text, "", substitutes))


def _markup(run: bytes, substitutes: Substitutes) -> bytes:
    out = bytearray(run)
    for match in _MARKUP.finditer(run):
        group = match.lastindex or 1
        if not match[group].startswith(b"http://") and match[group].strip():
            new = text_of_metadata(match[group], "", substitutes)
            out[match.start(group) : match.end(group)] = new
    return bytes(out)


# --- PNG -----------------------------------------------------------------------------------------


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    stop: int


def _png_chunks(data: bytes) -> Iterator[_Chunk]:
    at = 8
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        stop = min(len(data), at + 8 + size)
        yield _Chunk(data[at + 4 : at + 8], at + 8, stop)
        at = stop + 4


def _png(data: bytes, substitutes: Substitutes) -> bytes:
    out = bytearray(data)
    chunks = list(_png_chunks(data))
    for kind, start, stop in chunks:
        if kind in _CRITICAL or kind in _LEFT:
            continue
        new = _png_text(kind, data[start:stop], substitutes)
        if new != data[start:stop]:
            _put(out, kind, start, stop, new)
    if chunks and chunks[0].kind == b"IHDR" and _hides_pixels(substitutes):
        _png_pixels(out, data[chunks[0].start : chunks[0].stop], chunks)
    return bytes(out)


def _put(out: bytearray, kind: bytes, start: int, stop: int, new: bytes) -> None:
    out[start:stop] = new
    checksum = zlib.crc32(kind + new).to_bytes(4, "big")
    out[stop : stop + 4] = checksum[: len(out[stop : stop + 4])]


def _png_text(kind: bytes, content: bytes, substitutes: Substitutes) -> bytes:
    keyword, zero, rest = content.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt" and zero:
        return keyword + zero + text_of_metadata(rest, name, substitutes)
    if kind == b"zTXt" and rest:
        return keyword + zero + rest[:1] + _deflated(rest[1:], name, substitutes)
    if kind == b"iTXt" and len(rest) >= 2:
        language, _, behind = rest[2:].partition(b"\0")
        translated, _, text = behind.partition(b"\0")
        front = b"\0".join((keyword, rest[:2] + language, translated, b""))
        is_packed = rest[0] == 1
        new = (
            _deflated(text, name, substitutes)
            if is_packed
            else text_of_metadata(text, name, substitutes)
        )
        return front + new
    return blob(content, substitutes)


def _deflated(packed: bytes, name: str, substitutes: Substitutes) -> bytes:
    try:
        text = zlib.decompressobj().decompress(packed, _INFLATED_BYTES_MAX)
    except zlib.error:
        return blob(packed, substitutes)
    new = text_of_metadata(text, name, substitutes)
    if new == text:
        return packed
    return (
        same_size(new, b"deflate", len(packed))
        or _snug(new, len(packed))
        or same_size(b"", b"deflate", len(packed))
        or bytes(len(packed))
    )


_SNUG_BYTES_MAX: Final = 4096


def _snug(text: bytes, size: int) -> bytes | None:
    """A short text, deflated in exactly so many bytes, with as much white space behind it as that
    takes; None if it does not come out."""
    if size > _SNUG_BYTES_MAX:
        return None
    texts = [text]
    with contextlib.suppress(msgspec.MsgspecError):
        texts.append(msgspec.json.format(text, indent=-1))
    spaces = bytes(b" \t\n "[(at * at * 7 + at // 3) % 4] for at in range(64))
    for tried in texts:
        for behind in range(len(spaces) + 1):
            for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED):
                packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
                packed = packer.compress(tried + spaces[:behind]) + packer.flush()
                if len(packed) == size:
                    return packed
    return None


def _png_pixels(out: bytearray, header: bytes, chunks: list[_Chunk]) -> None:
    """One colour: all zeros, deflated, and filling that a reader of deflate passes over."""
    for kind in (b"IDAT", b"fdAT"):
        mine = [chunk for chunk in chunks if chunk.kind == kind]
        skip = 4 if kind == b"fdAT" else 0
        sizes = [max(0, stop - start - skip) for _, start, stop in mine]
        size = sum(sizes)
        packed = _solid_rows(header, size) if kind == b"IDAT" else bytes(size)
        at = 0
        for (_, start, stop), part in zip(mine, sizes, strict=True):
            front = bytes(out[start : start + skip])
            _put(out, kind, start, stop, front + packed[at : at + part])
            at += part


def _solid_rows(header: bytes, size: int) -> bytes:
    raw = _raw_size(header)
    if not 0 < raw <= _RAW_BYTES_MAX:
        return bytes(size)
    for odd in range(24):  # a few bytes of another colour make the sizes that filling cannot make
        front = bytes(range(odd))
        packed = same_size(bytes(1) + front + bytes(max(0, raw - 1 - odd)), b"deflate", size)
        if packed is not None and raw > odd:
            return packed
    return bytes(size)


def _raw_size(header: bytes) -> int:
    """Bytes of the rows of a picture, before they are deflated."""
    if len(header) < 13:
        return 0
    width, height = (int.from_bytes(header[at : at + 4], "big") for at in (0, 4))
    bits = header[8] * _CHANNELS.get(header[9], 4)
    if not header[12]:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for left, top, across, down in _PASSES:
        columns = (width - left + across - 1) // across
        rows = (height - top + down - 1) // down
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


# --- JPEG, WebP, GIF -----------------------------------------------------------------------------


def _jpeg(data: bytes, substitutes: Substitutes) -> bytes:
    out = bytearray(data)
    at, width, height = 2, 0, 0
    kept: list[bytes] = [data[:2]]
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        stop = min(len(data), at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            out[at + 4 : stop] = blob(data[at + 4 : stop], substitutes)
            kept.append(bytes(out[at:stop]))
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(data[at + n : at + n + 2], "big") for n in (5, 7))
        at = stop
    if not _hides_pixels(substitutes):
        return bytes(out)
    solid = solid_picture("JPEG", width, height, len(data) - sum(map(len, kept)) + 2)
    if solid is None:
        return bytes(out[: at + 2]).ljust(len(data), b"\0")[: len(data)]
    body = _without_head(solid)
    room = len(data) - sum(map(len, kept)) - len(body)
    if room < 0:
        return bytes(out[: at + 2]).ljust(len(data), b"\0")[: len(data)]
    # Any marker may stand behind any number of bytes 0xFF (ITU T.81, B.1.1.2).
    return b"".join((*kept, b"\xff" * room, body))


def _without_head(jpeg: bytes) -> bytes:
    """From its first table on."""
    at = 2
    while jpeg[at + 1] in range(0xE0, 0xF0) or jpeg[at + 1] == 0xFE:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return jpeg[at:]


def _webp(data: bytes, substitutes: Substitutes) -> bytes:
    out = bytearray(data)
    texts: list[bytes] = []
    at, first = 12, b""
    while at + 8 <= len(data):
        kind = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        stop = min(len(data), at + 8 + size)
        if kind in (b"EXIF", b"XMP ", b"ICCP"):
            if kind != b"ICCP":
                out[at + 8 : stop] = blob(data[at + 8 : stop], substitutes)
            texts.append(bytes(out[at : stop + (size & 1)]))
        elif kind == b"VP8X":
            first = data[at:stop]
        at = stop + (size & 1)
    if not _hides_pixels(substitutes):
        return bytes(out)
    width, height = _webp_size(data)
    solid = solid_picture("WEBP", width, height, len(data)) or b""
    picture = solid[12:]
    if first:
        first = first[:8] + bytes((first[8] & ~0x02,)) + first[9:]  # it no longer moves
    texts = texts if first else []
    size = 12 + len(first) + len(picture) + sum(map(len, texts))
    room = len(data) - size
    if not picture or room < 0 or 0 < room < 8:
        return bytes(out[:12]) + b"".join((first, *texts)).ljust(len(data) - 12, b"\0")
    filling = b"FILL" + (room - 8).to_bytes(4, "little") + bytes(room - 8) if room else b""
    return data[:12] + first + picture + b"".join(texts) + filling


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return tuple(1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))  # type: ignore[return-value]  # two of them
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return tuple(int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))  # type: ignore[return-value]  # as above


def _gif(data: bytes, substitutes: Substitutes) -> bytes:
    if not _hides_pixels(substitutes):
        return edited(data, substitutes.edits(data))
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    solid = solid_picture("GIF", width, height, len(data))
    return (solid or data[:13]).ljust(len(data), b"\0")


# --- MP4 -----------------------------------------------------------------------------------------

_CONTAINERS: Final = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"ilst", b"dinf", b"edts", b"moof",
     b"traf", b"mvex", b"meta")
)  # fmt: skip
_TABLES: Final = frozenset(
    b"ftyp mvhd tkhd mdhd hdlr vmhd smhd nmhd dref stsd stts stsc stsz stco co64 stss ctts elst "
    b"sgpd sbgp trex mehd mfhd tfhd tfdt trun sidx iods avcC hvcC av1C esds colr pasp btrt free "
    b"skip cslg tref url\x20".split(b" ")
)
_DEPTH_MAX: Final = 12


def _mp4(data: bytes, substitutes: Substitutes) -> bytes:
    out = bytearray(data)
    _boxes(out, 0, len(out), substitutes, 0)
    return bytes(out)


def _boxes(out: bytearray, at: int, end: int, substitutes: Substitutes, depth: int) -> None:
    while at + 8 <= end:
        size, kind = int.from_bytes(out[at : at + 4], "big"), bytes(out[at + 4 : at + 8])
        begin = at + 8
        if size == 1:
            size, begin = int.from_bytes(out[at + 8 : at + 16], "big"), at + 16
        stop = end if size == 0 else min(end, at + size)
        if stop <= at:
            return
        _box(out, kind, begin, stop, substitutes, depth)
        at = stop


def _box(
    out: bytearray, kind: bytes, begin: int, stop: int, substitutes: Substitutes, depth: int
) -> None:
    if kind == b"mdat":
        if _hides_pixels(substitutes):
            out[begin:stop] = bytes(max(0, stop - begin))
        else:
            sound = bytes(out[begin:stop])
            out[begin:stop] = edited(sound, list(substitutes.known.edits(sound)))
    elif kind in _CONTAINERS and depth < _DEPTH_MAX:
        # meta is a full box in most files, with four bytes before what it holds.
        first = begin + 4 if kind == b"meta" and out[begin : begin + 4] == b"\0\0\0\0" else begin
        if _holds_boxes(out, first, stop):
            _boxes(out, first, stop, substitutes, depth + 1)
        else:
            out[begin:stop] = blob(bytes(out[begin:stop]), substitutes)
    elif kind not in _TABLES:
        out[begin:stop] = blob(bytes(out[begin:stop]), substitutes)


def _holds_boxes(out: bytearray, at: int, stop: int) -> bool:
    """Whether a row of boxes fills a stretch."""
    while at + 8 <= stop:
        size = int.from_bytes(out[at : at + 4], "big")
        if size < 8 or at + size > stop:
            return False
        at += size
    return stop - at < 8
