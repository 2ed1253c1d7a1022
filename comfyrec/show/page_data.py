"""A timeline and its story -> the data of a page: packed columns, and payloads in small blocks.

No row is an object: a page of a hundred thousand rows holds a few typed arrays. Payloads stand
apart, ``BLOCK_ROWS`` to a block, and are inflated when somebody looks at one. ``page/data.js``
reads this.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeGuard

import msgspec

from comfyrec.cassette.content_coding import coding_of, decoded
from comfyrec.cassette.records import Side
from comfyrec.events import decode_binary
from comfyrec.events.binary import Preview, PreviewWithMetadata
from comfyrec.timeline import Timeline
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import Exchange, HttpMessage
from comfyrec.timeline.moments import PREVIEWS, Moment, moments_of
from comfyrec.timeline.story import Failure, PromptStory, Story

__all__ = ["BLOCK_ROWS", "PICTURES_BYTES_MAX", "PageData", "page_data"]

BLOCK_ROWS: Final = 256
PICTURES_BYTES_MAX: Final = 20 << 20
"""Of all pictures of a page; those beyond are left out, and the page says so."""
BODY_BYTES_MAX: Final = 256 << 10
"""Of one body; the rest is left out, and the inspector says so."""
GAP_US_MIN: Final = 20_000
"""A shorter pause is never folded."""

_SIDES: Final = {Side.CLIENT: 0, Side.SERVER: 1}
_SEVERITIES: Final = {"": 0, "good": 1, "warn": 2, "bad": 3}


class PageData(msgspec.Struct, frozen=True):
    """What is written into a page; everything is ASCII that needs no escaping."""

    columns: str
    """Base64 of gzip: length of the head (4 bytes), the head as JSON, padding, the columns."""
    blocks: tuple[str, ...]
    """Base64 of gzip: JSON arrays of the payloads of ``BLOCK_ROWS`` rows each."""
    pictures: tuple[tuple[str, str], ...]
    """(media type, base64), each once."""
    pictures_left_out: int = 0


class _Strings:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.all)
            self.all.append(text)
        return found


def page_data(timeline: Timeline, story: Story, *, name: str, redacted: Sequence[str]) -> PageData:
    """Everything that a page shows of one recording.

    Args:
        timeline: the recording.
        story: of the same timeline.
        name: what the page calls it.
        redacted: classes of secrets that were blanked out.
    """
    moments = moments_of(timeline)
    strings, pictures = _Strings(), _Pictures()
    payloads = _payloads(moments, timeline, pictures)
    blocks = tuple(_packed_json(block) for block in _in_blocks(payloads))
    columns, values = _columns(moments, timeline, strings, pictures)
    head = {
        "name": name,
        "rows": len(moments),
        "block": BLOCK_ROWS,
        "story": _story(story),
        "redacted": list(redacted),
        "gaps": list(_gaps(story, moments)),
        "exchanges": [
            _waterfall(e, moments_at, timeline) for e, moments_at in _asked(timeline, moments)
        ],
        "strings": strings.all,
        "columns": columns,
        "left_out": pictures.left_out,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % 8)
    packed = gzip.compress(struct.pack("<I", len(text)) + text + b"".join(values), 6, mtime=0)
    return PageData(
        columns=base64.b64encode(packed).decode(),
        blocks=blocks,
        pictures=tuple(pictures.all),
        pictures_left_out=pictures.left_out,
    )


# --- columns ---------------------------------------------------------------------------------


def _columns(
    moments: Sequence[Moment], timeline: Timeline, strings: _Strings, pictures: _Pictures
) -> tuple[list[list[Any]], list[bytes]]:
    """Name, type and length of each column, and their bytes; each begins at a multiple of 8."""
    progress = [_progress(moment, timeline) for moment in moments]
    columns: list[tuple[str, str, list[Any]]] = [
        ("t", "d", [m.t_us for m in moments]),
        ("type", "H", [strings.number(m.type) for m in moments]),
        ("kind", "H", [strings.number(m.kind) for m in moments]),
        ("words", "I", [strings.number(m.words) for m in moments]),
        ("node", "i", [-1 if m.node is None else strings.number(m.node) for m in moments]),
        ("side", "B", [_SIDES[m.side] for m in moments]),
        ("severity", "B", [_SEVERITIES[m.severity] for m in moments]),
        ("socket", "i", [-1 if m.socket is None else m.socket for m in moments]),
        ("exchange", "i", [-1 if m.exchange is None else m.exchange for m in moments]),
        ("conn", "I", [m.conn & 0xFFFFFFFF for m in moments]),
        ("prompt", "i", [-1 if m.prompt is None else m.prompt for m in moments]),
        ("size", "I", [min(m.size, 0xFFFFFFFF) for m in moments]),
        ("picture", "i", [pictures.of_row.get(n, -1) for n in range(len(moments))]),
        ("queue", "i", [_queue(m, timeline) for m in moments]),
        ("value", "f", [value for value, _ in progress]),
        ("max", "f", [most for _, most in progress]),
    ]
    described, values = [], []
    for name, code, column in columns:
        data = struct.pack(f"<{len(column)}{code}", *column)
        described.append([name, code, len(column)])
        values.append(data + bytes(-len(data) % 8))
    return described, values


def _queue(moment: Moment, timeline: Timeline) -> int:
    if moment.type != "status" or moment.socket is None or moment.place is None:
        return -1
    remaining = timeline.sockets[moment.socket].messages[moment.place].peek.queue_remaining
    return -1 if remaining is None else min(remaining, 0x7FFFFFFF)


def _progress(moment: Moment, timeline: Timeline) -> tuple[float, float]:
    if moment.type != "progress" or moment.socket is None or moment.place is None:
        return -1.0, -1.0
    data = data_of(timeline.sockets[moment.socket].messages[moment.place].data)
    said = (data.get("value"), data.get("max")) if isinstance(data, dict) else (None, None)
    value, most = said
    if isinstance(value, int | float) and isinstance(most, int | float):
        return _small(value), _small(most)
    return -1.0, -1.0


def _small(number: float) -> float:
    """A number that a float of four bytes holds."""
    return float(number) if abs(number) < 1e30 else -1.0


# --- the story -------------------------------------------------------------------------------


def _story(story: Story) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(story)
    plain["prompts"] = [_prompt(prompt) for prompt in story.prompts]
    return plain


def _prompt(prompt: PromptStory) -> dict[str, Any]:
    return {
        "id": prompt.prompt_id,
        "client": prompt.client_id,
        "outcome": prompt.outcome,
        "submitted": prompt.submitted_us,
        "started": prompt.started_us,
        "ended": prompt.ended_us,
        "failure": str(prompt.failure) if prompt.failure is not None else None,
        "failed": prompt.failure.node_id if _ends_it(prompt.failure) else None,
        "heard": len(prompt.heard),
        "nodes": [
            [run.node_id, run.name, run.t, run.t_end, run.cached, run.value, run.max]
            for run in prompt.nodes
        ],
    }


def _ends_it(failure: Failure | None) -> TypeGuard[Failure]:
    return failure is not None and not failure.blocked


def _gaps(story: Story, moments: Sequence[Moment]) -> Iterator[tuple[int, int]]:
    """Stretches in which nothing happened and no prompt was on its way: they can be folded."""
    busy = sorted(
        (p.submitted_us if p.submitted_us is not None else p.started_us or 0, _end_of(p, story))
        for p in story.prompts
        if p.outcome != "deleted"
    )
    last, at = 0, 0
    for moment in [*moments, None]:
        t_us = story.duration_us if moment is None else moment.t_us
        while at < len(busy) and busy[at][0] <= last:
            last = max(last, busy[at][1])
            at += 1
        if t_us - last > GAP_US_MIN:
            yield last, t_us
        last = max(last, t_us)


def _end_of(prompt: PromptStory, story: Story) -> int:
    ended = prompt.left_us if prompt.left_us is not None else prompt.ended_us
    return story.duration_us if ended is None else ended


def _asked(timeline: Timeline, moments: Sequence[Moment]) -> Iterator[tuple[Exchange, int]]:
    rows = {m.exchange: row for row, m in reversed(list(enumerate(moments))) if m.kind == "request"}
    for exchange in timeline.exchanges:
        if exchange.status != 101:
            yield exchange, rows.get(exchange.number, -1)


def _waterfall(exchange: Exchange, row: int, timeline: Timeline) -> list[Any]:
    """[start, end, status, method, path, row]."""
    end = exchange.response.t_end if exchange.response is not None else exchange.cut_t
    start = exchange.request.t
    return [
        start - timeline.t,
        max(end, start) - timeline.t,
        exchange.status or 0,
        exchange.method,
        exchange.target,
        row,
    ]


# --- payloads --------------------------------------------------------------------------------


class _Pictures:
    """Pictures of previews and answers, each once, up to a bound."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []
        self.of_row: dict[int, int] = {}
        self.left_out = 0
        self._numbers: dict[bytes, int] = {}
        self._bytes = 0

    def add(self, row: int, media_type: str, data: bytes) -> None:
        """Keep the picture of one row."""
        digest = blake2b(data, digest_size=16).digest()
        if digest not in self._numbers:
            if self._bytes + len(data) > PICTURES_BYTES_MAX:
                self.left_out += 1
                return
            self._bytes += len(data)
            self._numbers[digest] = len(self.all)
            self.all.append((media_type, base64.b64encode(data).decode()))
        self.of_row[row] = self._numbers[digest]


def _payloads(moments: Sequence[Moment], timeline: Timeline, pictures: _Pictures) -> Iterator[Any]:
    """One payload a row: a text; ``[1, base64, whole size]`` for bytes; null for nothing."""
    for row, moment in enumerate(moments):
        if moment.socket is not None and moment.place is not None:
            data = timeline.sockets[moment.socket].messages[moment.place].data
            if isinstance(data, str):
                yield data
                continue
            yield _bytes(data, 0 if _picture(row, moment, data, pictures) else BODY_BYTES_MAX)
        elif moment.exchange is not None and moment.kind in ("request", "answer"):
            exchange = timeline.exchanges[moment.exchange]
            message = exchange.request if moment.kind == "request" else exchange.response
            yield None if message is None else _http(row, message, pictures)
        elif moment.kind == "opened" and moment.socket is not None:
            yield _http(row, timeline.sockets[moment.socket].upgrade.request, pictures)
        else:
            yield None


def _picture(row: int, moment: Moment, data: bytes, pictures: _Pictures) -> bool:
    if moment.type not in PREVIEWS:
        return False
    event = decode_binary(data)
    if not isinstance(event, Preview | PreviewWithMetadata):
        return False
    image = bytes(event.image)
    media_type = _media_type(image)
    if media_type:
        pictures.add(row, media_type, image)
    return bool(media_type)


_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
)


def _media_type(data: bytes) -> str:
    """Of a picture that a page may show, by its first bytes; never SVG, which may hold scripts."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), "")


def _bytes(data: bytes, most: int) -> list[Any]:
    return [1, base64.b64encode(data[: max(most, 64)]).decode(), len(data)]


def _http(row: int, message: HttpMessage, pictures: _Pictures) -> list[Any]:
    """``[2, head, body, whole size]``; the body is a text, or a payload of bytes."""
    head = "\n".join([message.start, *(f"{name}: {value}" for name, value in message.headers)])
    coding = coding_of(f"\r\n{head}\r\n".replace("\n", "\r\n").encode())
    body = message.body
    if coding:
        body = decoded(body, coding) or body
    media_type = _media_type(body)
    if media_type:
        pictures.add(row, media_type, body)
        return [2, head, _bytes(body, 0), len(body)]
    try:
        return [2, head, body[:BODY_BYTES_MAX].decode(), len(body)]
    except UnicodeDecodeError:
        return [2, head, _bytes(body, BODY_BYTES_MAX), len(body)]


def _in_blocks(payloads: Iterable[Any]) -> Iterator[list[Any]]:
    block: list[Any] = []
    for payload in payloads:
        block.append(payload)
        if len(block) == BLOCK_ROWS:
            yield block
            block = []
    if block:
        yield block


def _packed_json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(text, 6, mtime=0)).decode()
