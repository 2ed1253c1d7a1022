"""A stored file + the conditions of a request -> the answer, as aiohttp's FileResponse gives it.

Entity tags, dates, ranges and their order of precedence: RFC 9110 section 13, RFC 7233.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from comfyrec.http.dates import date_us, http_date
from comfyrec.http.media_types import OCTETS
from fake_server.source import Request, Response
from fake_server.storage.memory import StoredFile

__all__ = ["FileAnswer", "file_answer", "no_file", "no_plain_file"]

_ETAG: Final = re.compile(r'(W/)?"([^"]*)"')
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII | re.IGNORECASE)
_DIGITS_MAX: Final = 18
"""Of a position in a range; Python itself refuses numbers of some thousand digits."""


class FileAnswer(Response, frozen=True):
    """An answer of aiohttp's FileResponse, which looks at its file last: for middleware it is
    a 200, whatever becomes of it."""


def no_file() -> FileAnswer:
    """What aiohttp's static handler says of a path without a file: 404 and no length."""
    return FileAnswer(404, (("Transfer-Encoding", "chunked"), ("Content-Type", OCTETS)))


def no_plain_file(headers: Sequence[tuple[str, str]] = ()) -> FileAnswer:
    """What aiohttp says of a folder: 403 and no length."""
    chunked = ("Transfer-Encoding", "chunked")
    return FileAnswer(403, (*headers, chunked, *_typed(headers, OCTETS)))


def file_answer(
    request: Request,
    file: StoredFile,
    epoch_us: int,
    headers: Sequence[tuple[str, str]] = (),
    *,
    guess: str = OCTETS,
) -> FileAnswer:
    """Serve a file: whole, a range of it, or word that the client has it already.

    Args:
        epoch_us: of virtual time 0.
        headers: what the route adds, in front.
        guess: the type to name when ``headers`` name none.
    """
    fields = request.fields
    modified = epoch_us + file.modified_us
    tag = f"{modified * 1_000:x}-{len(file.data):x}"
    given = list(headers)
    verdict = _condition(fields, tag, modified)
    if verdict == 412:
        return FileAnswer(412, (*given, ("Content-Length", "0")))
    dated = [("Etag", f'"{tag}"'), ("Last-Modified", http_date(-(-modified // 1_000_000)))]
    if verdict == 304:
        return FileAnswer(304, (*given, *dated))
    status, begin, end = _span(fields, len(file.data), modified)
    if status == 416:
        return FileAnswer(416, (*given, ("Content-Range", f"bytes */{len(file.data)}"),
                            ("Transfer-Encoding", "chunked"),
                            *_typed(given, OCTETS)))  # fmt: skip
    shown = [*given, *_typed(given, guess), *dated]
    shown += [("Content-Length", str(end - begin)), ("Accept-Ranges", "bytes")]
    if status == 206:
        shown.append(("Content-Range", f"bytes {begin}-{end - 1}/{len(file.data)}"))
    return FileAnswer(status, tuple(shown), file.data[begin:end])


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
    asked = fields.get("range")
    # aiohttp knows dates in If-Range only; an entity tag counts as none.
    since = date_us(fields.get("if-range", ""))
    if asked is None or (since is not None and modified > since):
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
