"""A stored file + the conditions of a request -> the answer, as aiohttp's FileResponse gives it.

Entity tags, dates, ranges and their order of precedence: RFC 9110 section 13, RFC 7233.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fake_server.actions import Answer
from fake_server.dates import date_us, http_date
from fake_server.files import StoredFile
from fake_server.question import Question

__all__ = ["content_type", "file_answer", "no_file"]

OCTETS: Final = "application/octet-stream"
_ETAG: Final = re.compile(r'(W/)?"([^"]*)"')
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII | re.IGNORECASE)
_DIGITS_MAX: Final = 18
"""Of a position in a range; Python itself refuses numbers of some thousand digits."""

# What Python's mimetypes knows of the files that go through a ComfyUI server.
_TYPES: Final = {
    ".aac": "audio/aac", ".aif": "audio/x-aiff", ".aiff": "audio/x-aiff", ".avi": "video/x-msvideo",
    ".avif": "image/avif", ".bin": OCTETS, ".bmp": "image/bmp", ".bz2": "application/x-bzip2",
    ".c": "text/plain", ".css": "text/css", ".csv": "text/csv", ".exe": OCTETS,
    ".flac": "audio/flac", ".flv": "video/x-flv", ".gif": "image/gif", ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json", ".gz": "application/gzip", ".h5": "application/x-hdf5",
    ".heic": "image/heic", ".heif": "image/heif", ".htm": "text/html", ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon", ".jpe": "image/jpeg", ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg", ".js": "application/javascript; charset=utf-8",
    ".json": "application/json", ".m4a": "audio/mp4", ".m4v": "video/mp4", ".md": "text/markdown",
    ".mjs": "text/javascript", ".mkv": "video/x-matroska", ".mov": "video/quicktime",
    ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".mpeg": "video/mpeg", ".oga": "audio/ogg",
    ".ogg": "audio/ogg", ".ogv": "video/ogg", ".opus": "audio/opus", ".otf": "font/otf",
    ".pdf": "application/pdf", ".pgm": "image/x-portable-graymap", ".png": "image/png",
    ".pnm": "image/x-portable-anymap", ".ppm": "image/x-portable-pixmap", ".py": "text/x-python",
    ".svg": "image/svg+xml", ".tar": "application/x-tar", ".tif": "image/tiff",
    ".tiff": "image/tiff", ".tsv": "text/tab-separated-values", ".ttf": "font/ttf",
    ".txt": "text/plain", ".wasm": "application/wasm", ".wav": "audio/x-wav",
    ".weba": "audio/webm", ".webm": "video/webm", ".webmanifest": "application/manifest+json",
    ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml", ".xml": "text/xml", ".zip": "application/zip",
}  # fmt: skip


def content_type(name: str) -> str | None:
    """The type that a name's extension stands for, None for one that is not known."""
    dot = name.rfind(".")
    return _TYPES.get(name[dot:].lower()) if dot > 0 else None


def no_file() -> Answer:
    """What aiohttp's static handler says of a path without a file: 404 and no length."""
    return Answer(404, (("Transfer-Encoding", "chunked"), ("Content-Type", OCTETS)))


def file_answer(
    ask: Question,
    file: StoredFile,
    epoch_us: int,
    headers: Sequence[tuple[str, str]] = (),
    *,
    guess: str = OCTETS,
) -> Answer:
    """Serve a file: whole, a range of it, or word that the client has it already.

    Args:
        epoch_us: of virtual time 0.
        headers: what the route adds, in front.
        guess: the type to name when ``headers`` name none.
    """
    fields = {name.lower(): value for name, value in reversed(ask.headers)}
    modified = epoch_us + file.modified_us
    tag = f"{modified * 1_000:x}-{len(file.data):x}"
    given = list(headers)
    verdict = _condition(fields, tag, modified)
    if verdict == 412:
        return Answer(412, (*given, ("Content-Length", "0")))
    dated = [("Etag", f'"{tag}"'), ("Last-Modified", http_date(-(-modified // 1_000_000)))]
    if verdict == 304:
        return Answer(304, (*given, *dated))
    status, begin, end = _span(fields, len(file.data), modified)
    if status == 416:
        return Answer(416, (*given, ("Content-Range", f"bytes */{len(file.data)}"),
                            ("Transfer-Encoding", "chunked"),
                            *_typed(given, OCTETS)))  # fmt: skip
    shown = [*given, *_typed(given, guess), *dated]
    shown += [("Content-Length", str(end - begin)), ("Accept-Ranges", "bytes")]
    if status == 206:
        shown.append(("Content-Range", f"bytes {begin}-{end - 1}/{len(file.data)}"))
    return Answer(status, tuple(shown), file.data[begin:end])


def _typed(given: Sequence[tuple[str, str]], guess: str) -> list[tuple[str, str]]:
    known = any(name.lower() == "content-type" for name, _ in given)
    return [] if known else [("Content-Type", guess)]


def _condition(fields: Mapping[str, str], tag: str, modified: int) -> int:
    """200, or the status that the client's conditions lead to."""
    match, none_match = fields.get("if-match", ""), fields.get("if-none-match", "")
    if match:
        if not _has_tag(match, tag, weak=False):
            return 412
    else:
        since = date_us(fields.get("if-unmodified-since", ""))
        if since is not None and modified > since:
            return 412
    if none_match:
        return 304 if _has_tag(none_match, tag, weak=True) else 200
    since = date_us(fields.get("if-modified-since", ""))
    return 304 if since is not None and modified <= since else 200


def _has_tag(written: str, tag: str, *, weak: bool) -> bool:
    if written.strip() == "*":
        return True
    return any(value == tag and (weak or not is_weak) for is_weak, value in _ETAG.findall(written))


def _span(fields: Mapping[str, str], size: int, modified: int) -> tuple[int, int, int]:
    """Status, begin and end of what to send."""
    asked = fields.get("range", "")
    # aiohttp knows dates in If-Range only; an entity tag counts as none.
    since = date_us(fields.get("if-range", ""))
    if not asked or (since is not None and modified > since):
        return 200, 0, size
    found = _RANGE.fullmatch(asked)
    if found is None or any(len(part) > _DIGITS_MAX for part in found.groups()):
        return 416, 0, 0
    first, last = found.groups()
    if not first and not last:
        return 416, 0, 0
    if not first:
        begin, end = max(size - int(last), 0), size
        # "bytes=-0" is a tail of nothing, which aiohttp takes for the whole.
        begin = 0 if last.strip("0") == "" else begin
    else:
        begin, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < begin:
            return 416, 0, 0
    return (416, 0, 0) if begin >= size else (206, begin, end)
