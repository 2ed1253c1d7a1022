"""What happens in a recording, moment by moment -> the data of a page: packed columns, payloads.

No row is an object: a page of a hundred thousand rows holds a few typed arrays. Payloads stand
apart, ``BLOCK_ROWS`` to a block, and are inflated when somebody looks at one. Blocks and pictures
leave for a ``Shelf`` as they are full, so a recording of gigabytes takes what its columns take.
``page/data.js`` reads this.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol, TypeGuard

import msgspec

from comfyrec.cassette.content_coding import coding_of, decoded
from comfyrec.cassette.records import Side
from comfyrec.events import decode_binary
from comfyrec.events.binary import Preview, PreviewWithMetadata
from comfyrec.timeline.live import Live, Told
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import HttpMessage, Message
from comfyrec.timeline.moments import PREVIEWS, Moment
from comfyrec.timeline.prompt_story import Failure, PromptStory

__all__ = ["BLOCK_ROWS", "PICTURES_BYTES_MAX", "PageRows", "Seen", "Shelf", "packed_rows"]

BLOCK_ROWS: Final = 256
PICTURES_BYTES_MAX: Final = 20 << 20
"""Of all pictures of a page; those beyond are left out, and the page says so."""
BODY_BYTES_MAX: Final = 256 << 10
"""Of one body; the rest is left out, and the inspector says so."""
GAP_US_MIN: Final = 20_000
"""A shorter pause is never folded."""
FINDINGS_MAX: Final = 500

_SIDES: Final = {Side.CLIENT: 0, Side.SERVER: 1}
_SEVERITIES: Final = {"": 0, "good": 1, "warn": 2, "bad": 3}
_COLUMNS: Final = {
    "t": "d", "type": "I", "kind": "I", "words": "I", "node": "i", "side": "B", "severity": "B",
    "socket": "i", "exchange": "i", "conn": "I", "prompt": "i", "size": "I", "picture": "i",
    "queue": "i", "value": "f", "max": "f",
}  # fmt: skip
"""name -> type, as ``array`` and ``struct`` call it; in the order of a row."""


class Shelf(Protocol):
    """Where what is full goes."""

    def block(self, number: int, packed: bytes) -> None:
        """Gzip of a JSON array of the payloads of ``BLOCK_ROWS`` rows."""
        ...

    def picture(self, number: int, media_type: str, data: bytes) -> None:
        """A picture, each once."""
        ...


class Seen(NamedTuple):
    """How much of a page somebody has already."""

    rows: int = 0
    strings: int = 0
    exchanges: int = 0
    gaps: int = 0
    patches: int = 0
    revision: int = 0
    """Of prompts."""


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


class PageRows:
    """Takes what ``live`` tells, in order.

    Args:
        live: of the recording.
        shelf: where blocks and pictures go.
        name: what the page calls the recording.
        redacted: classes of secrets that were blanked out.
        pictures_max: bytes of pictures.
    """

    def __init__(
        self,
        live: Live,
        shelf: Shelf,
        *,
        name: str,
        redacted: Sequence[str],
        pictures_max: int = PICTURES_BYTES_MAX,
    ) -> None:
        self.live, self._shelf = live, shelf
        self._name, self._redacted = name, list(redacted)
        self._columns: dict[str, array[Any]] = {
            column: array(code) for column, code in _COLUMNS.items()
        }
        self._strings = _Strings()
        self._pictures = _Pictures(shelf, pictures_max)
        self._block: list[Any] = []
        self.blocks = 0
        """How many are full."""
        self._exchanges: list[list[Any]] = []
        self._asked: dict[int, tuple[int, int, str, str]] = {}
        self._posts: dict[int, int] = {}
        self._patches: list[tuple[int, int]] = []
        self._patched = 0
        self._gaps: list[tuple[int, int]] = []
        self._last = 0
        self._busy = False

    @property
    def rows(self) -> int:
        """How many there are by now."""
        return len(self._columns["t"])

    @property
    def pictures_left_out(self) -> int:
        """Pictures for which there was no room."""
        return self._pictures.left_out

    def add(self, told: Sequence[Told]) -> None:
        """The next moments."""
        for one in told:
            self._gap(one.moment.t_us)
            self._row(one)
            self._exchange(one.moment)
            self._busy = self.live.prompts.busy
        patches = self.live.prompts.patches
        for exchange, prompt in patches[self._patched :]:
            row = self._posts.pop(exchange, None)
            if row is not None:
                self._columns["prompt"][row] = prompt
                self._patches.append((row, prompt))
        self._patched = len(patches)

    def _row(self, one: Told) -> None:
        moment, columns, number = one.moment, self._columns, self._strings.number
        payload, picture = self._payload(one)
        value, most = _progress(one)
        row = (
            moment.t_us,
            number(moment.type),
            number(moment.kind),
            number(moment.words),
            -1 if moment.node is None else number(moment.node),
            _SIDES[moment.side],
            _SEVERITIES[moment.severity],
            _or_none(moment.socket),
            _or_none(moment.exchange),
            moment.conn & 0xFFFFFFFF,
            _or_none(moment.prompt),
            min(moment.size, 0xFFFFFFFF),
            picture,
            _queue(one),
            value,
            most,
        )
        for column, cell in zip(columns.values(), row, strict=True):
            column.append(cell)
        self._block.append(payload)
        if len(self._block) == BLOCK_ROWS:
            self._shelf.block(self.blocks, _packed_json(self._block))
            self.blocks += 1
            self._block = []

    def _exchange(self, moment: Moment) -> None:
        """Keep a request until it is answered or cut."""
        if moment.exchange is None:
            return
        if moment.kind == "request":
            if moment.type == "POST" and moment.words.partition("?")[0].endswith("/prompt"):
                self._posts[moment.exchange] = self.rows - 1
            asked = moment.t_us, self.rows - 1, moment.type, moment.words
            self._asked[moment.exchange] = asked
        elif (found := self._asked.pop(moment.exchange, None)) is not None:
            start, row, method, target = found
            status = int(moment.type) if moment.type.isdigit() else 0
            end = max(moment.t_us, start)
            self._exchanges.append([start, end, status, method, target, row])

    def _gap(self, t_us: int) -> None:
        """Nothing happened, and no prompt was on its way: that stretch can be folded."""
        if not self._busy and t_us - self._last > GAP_US_MIN:
            self._gaps.append((self._last, t_us))
        self._last = max(self._last, t_us)

    def _payload(self, one: Told) -> tuple[Any, int]:
        """(payload, number of its picture): a text; ``[1, base64, whole size]`` for bytes;
        ``[2, head, body, whole size]`` for HTTP, where the body is one of these; null for nothing.
        """
        content = one.content
        if isinstance(content, HttpMessage):
            return self._http(content)
        if content is None:
            return None, -1
        if isinstance(content.data, str):
            return content.data, -1
        media_type, image = _image_in(one.moment, content.data)
        picture = self._pictures.add(media_type, image) if media_type else -1
        return _bytes(content.data, 0 if media_type else BODY_BYTES_MAX), picture

    def _http(self, message: HttpMessage) -> tuple[list[Any], int]:
        head = "\n".join([message.start, *(f"{name}: {value}" for name, value in message.headers)])
        coding = coding_of(f"\r\n{head}\r\n".replace("\n", "\r\n").encode())
        body = message.body
        if coding:
            body = decoded(body, coding) or body
        media_type = _media_type(body)
        if media_type:
            picture = self._pictures.add(media_type, body)
            return [2, head, _bytes(body, 0), len(body)], picture
        text = _text(body[:BODY_BYTES_MAX], cut=len(body) > BODY_BYTES_MAX)
        return [2, head, _bytes(body, BODY_BYTES_MAX) if text is None else text, len(body)], -1

    def finish(self) -> None:
        """There will be no more; the last block is as full as it gets."""
        for start, row, method, target in self._asked.values():
            self._exchanges.append([start, start, 0, method, target, row])
        self._asked = {}
        self._gap(self.live.duration_us)
        if self._block:
            self._shelf.block(self.blocks, _packed_json(self._block))
            self.blocks += 1
            self._block = []

    def last_block(self) -> bytes:
        """The block that is not full, packed as the others are."""
        return _packed_json(self._block)

    # --- what a page gets ----------------------------------------------------------------------

    def head(self, seen: Seen, *, whole: bool) -> dict[str, Any]:
        """All but the columns and prompts that somebody has not seen yet.

        Args:
            seen: what is known.
            whole: the recording has ended cleanly.
        """
        live = self.live
        story = live.story(whole=whole)
        plain = msgspec.to_builtins(msgspec.structs.replace(story, prompts=()))
        plain["findings"] = plain["findings"][:FINDINGS_MAX]
        plain["version_in_words"] = story.version_in_words
        return {
            "name": self._name,
            "rows": self.rows,
            "from": seen.rows,
            "block": BLOCK_ROWS,
            "story": plain,
            "redacted": self._redacted,
            "gaps": self._gaps[seen.gaps :],
            "exchanges": self._exchanges[seen.exchanges :],
            "patches": self._patches[seen.patches :],
            "strings": self._strings.all[seen.strings :],
            "left_out": self.pictures_left_out,
            "seen": Seen(
                self.rows,
                len(self._strings.all),
                len(self._exchanges),
                len(self._gaps),
                len(self._patches),
                live.prompts.revision,
            ),
        }

    def prompts(self, since: int) -> Iterator[bytes]:
        """As JSON, those that have changed since a revision."""
        start = self.live.start or 0
        for one in self.live.prompts.all.values():
            if one.revision > since:
                yield msgspec.json.encode(_prompt(one.story(start)))

    def columns(self, since: int) -> tuple[list[list[Any]], Iterator[bytes]]:
        """Name, type and length of each column from a row on, and their bytes, each padded to 8."""
        described = [[name, code, self.rows - since] for name, code in _COLUMNS.items()]
        return described, (_padded(column[since:].tobytes()) for column in self._columns.values())


def packed_rows(rows: PageRows, seen: Seen, *, whole: bool, **more: Any) -> bytes:
    """Length of the head (4 bytes), the head as JSON, padding, the columns; gzip of all that."""
    head = rows.head(seen, whole=whole)
    head["columns"], values = rows.columns(seen.rows)
    text = json.dumps({**head, **more}, separators=(",", ":")).encode()
    text = text[:-1] + b',"prompts":[' + b",".join(rows.prompts(seen.revision)) + b"]}"
    text += b" " * (-(len(text) + 4) % 8)
    # Piece by piece: of a million rows the columns alone are a hundred megabytes.
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    packed = [packer.compress(struct.pack("<I", len(text))), packer.compress(text)]
    packed += [packer.compress(column) for column in values]
    return b"".join([*packed, packer.flush()])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _or_none(number: int | None) -> int:
    return -1 if number is None else number


def _queue(one: Told) -> int:
    if one.moment.type != "status" or not isinstance(one.content, Message):
        return -1
    remaining = one.content.peek.queue_remaining
    return -1 if remaining is None else max(min(remaining, 0x7FFFFFFF), -1)


def _progress(one: Told) -> tuple[float, float]:
    if one.moment.type != "progress" or not isinstance(one.content, Message):
        return -1.0, -1.0
    data = data_of(one.content.data)
    value, most = (data.get("value"), data.get("max")) if isinstance(data, dict) else (None, None)
    if isinstance(value, int | float) and isinstance(most, int | float):
        return _small(value), _small(most)
    return -1.0, -1.0


def _small(number: float) -> float:
    """A number that a float of four bytes holds."""
    return float(number) if abs(number) < 1e30 else -1.0


def _prompt(prompt: PromptStory) -> dict[str, Any]:
    return {
        "number": prompt.number,
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


# --- payloads --------------------------------------------------------------------------------


class _Pictures:
    """Pictures of previews and answers, each once, up to a bound."""

    def __init__(self, shelf: Shelf, bytes_max: int) -> None:
        self._shelf, self._bytes_max = shelf, bytes_max
        self.left_out = 0
        self._numbers: dict[bytes, int] = {}
        self._bytes = 0

    def add(self, media_type: str, data: bytes) -> int:
        """Keep a picture; its number, or -1 where there is no room."""
        digest = blake2b(data, digest_size=16).digest()
        found = self._numbers.get(digest)
        if found is not None:
            return found
        if self._bytes + len(data) > self._bytes_max:
            self.left_out += 1
            return -1
        self._bytes += len(data)
        number = self._numbers[digest] = len(self._numbers)
        self._shelf.picture(number, media_type, data)
        return number


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


def _image_in(moment: Moment, data: bytes) -> tuple[str, bytes]:
    """(media type, picture) of a preview; empty where there is none that a page may show."""
    if moment.type not in PREVIEWS:
        return "", b""
    event = decode_binary(data)
    if not isinstance(event, Preview | PreviewWithMetadata):
        return "", b""
    image = bytes(event.image)
    return _media_type(image), image


def _bytes(data: bytes, most: int) -> list[Any]:
    return [1, base64.b64encode(data[: max(most, 64)]).decode(), len(data)]


def _text(data: bytes, *, cut: bool) -> str | None:
    """The bytes as text, but for a sign that the cut went through; None: they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError as wrong:
        if not cut or wrong.start < len(data) - 3:
            return None
        return data[: wrong.start].decode()


def _packed_json(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return gzip.compress(text, 6, mtime=0)
