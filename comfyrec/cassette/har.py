"""HAR 1.2 <-> records, WebSockets included (``_webSocketMessages``, as browsers' devtools save).

HAR holds messages, not bytes: heads are taken apart, bodies decoded, frames put together. So a
cassette made of HAR has plain heads with the true length of each body, and a HAR made of a cassette
has lost what its format cannot say (fragments, control frames but close, order of connections).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from comfyrec.cassette.records import (
    FORMAT,
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Opened,
    Session,
    Side,
    WsFrame,
)
from comfyrec.wire.frames import frame_head

__all__ = ["NotAHar", "is_har", "records_of_har", "to_har"]

_BODY_BYTES_MAX: Final = 64 << 20
"""Inflating a body for HAR ends here; such bodies do not come from ComfyUI."""
_HOP: Final = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})


class NotAHar(ValueError):
    """JSON that is no HAR; the sentence names the entry and the field."""


def is_har(start: bytes) -> bool:
    """Whether these first bytes are of a HAR file."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"log"' in start[:1000]


_WRONG_SHAPE: Final = (AttributeError, LookupError, OverflowError, TypeError, ValueError)
"""What reading one shape as another ends in."""


# --- HAR -> records --------------------------------------------------------------------------


def records_of_har(data: bytes, *, tool: str = "") -> Iterator[AnyRecord]:
    """Turn one HAR file into the records of one cassette.

    Raises:
        NotAHar: it is no JSON, or an entry lacks what a request and an answer need.
    """
    try:
        log = msgspec.json.decode(data)["log"]
        creator = _creator(log)
        entries = sorted(log["entries"], key=lambda entry: _us(entry["startedDateTime"]))
    except (msgspec.MsgspecError, RecursionError, *_WRONG_SHAPE) as why:
        raise NotAHar(f"it is no HAR ({why!r})") from None
    happened: list[tuple[int, AnyRecord]] = []
    for number, entry in enumerate(entries):
        try:
            happened += _of_entry(number + 1, entry)
        except _WRONG_SHAPE as why:
            raise NotAHar(f"log.entries[{number}] does not fit ({why!r})") from None
    happened.sort(key=lambda pair: pair[0])
    first = happened[0][0] if happened else 0
    about = {"imported": "HAR", "creator": creator}
    yield Session(0, first, FORMAT, FORMAT, tool, "", (), about)
    for seq, (t, record) in enumerate(happened, 1):
        yield msgspec.structs.replace(record, seq=seq, t=t)
    last = happened[-1][0] if happened else 0
    yield End(len(happened) + 1, last, len(happened) + 1)


def _creator(log: dict[str, Any]) -> str:
    creator = log.get("creator") or {}
    return f"{creator.get('name', '')} {creator.get('version', '')}".strip()


def _us(moment: str) -> int:
    since = datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


def _of_entry(conn: int, entry: dict[str, Any]) -> list[tuple[int, AnyRecord]]:
    """One entry, on a connection of its own: HAR does not say which of them was shared."""
    asked = _us(entry["startedDateTime"])
    answered = asked + round(max(0.0, float(entry.get("time") or 0)) * 1000)
    request, response = entry["request"], entry["response"]
    messages = entry.get("_webSocketMessages")
    found: list[tuple[int, AnyRecord]] = [
        (asked, Opened(0, 0, conn)),
        (asked, _request(conn, request)),
    ]
    if messages is None:
        if response["status"] > 0:
            found.append((answered, _response(conn, response)))
        found.append((answered, Closed(0, 0, conn, Side.CLIENT)))
        return found
    handshake = HttpPart(0, 0, conn, Side.SERVER, 0, _response_head(response, None))
    found.append((asked, handshake))
    found += [(_message_us(message), _message(conn, message)) for message in messages]
    found.append((max(t for t, _ in found), Closed(0, 0, conn, Side.SERVER)))
    return found


def _request(conn: int, request: dict[str, Any]) -> AnyRecord:
    url = urlsplit(request["url"])
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    body = _posted(request.get("postData") or {})
    headers = _headers(request["headers"])
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", url.netloc.rpartition("@")[2]))
    if body:
        headers.append(("Content-Length", str(len(body))))
    head = _head(f"{request['method']} {target} HTTP/1.1", headers)
    return HttpPart(0, 0, conn, Side.CLIENT, 0, head, body)


def _posted(data: dict[str, Any]) -> bytes:
    if "text" in data:
        return _content({"text": data["text"], "encoding": data.get("encoding")})
    pairs = (f"{p['name']}={p.get('value', '')}" for p in data.get("params") or ())
    return "&".join(pairs).encode()


def _response(conn: int, response: dict[str, Any]) -> AnyRecord:
    body = _content(response.get("content") or {})
    return HttpPart(0, 0, conn, Side.SERVER, 0, _response_head(response, len(body)), body)


def _response_head(response: dict[str, Any], size: int | None) -> bytes:
    headers = _headers(response["headers"], upgrade=size is None)
    if size is not None:
        headers.append(("Content-Length", str(size)))
    start = f"HTTP/1.1 {int(response['status'])} {response.get('statusText', '')}"
    return _head(start, headers)


def _headers(listed: Iterable[dict[str, str]], *, upgrade: bool = False) -> list[tuple[str, str]]:
    """Fields as HTTP/1.1 has them: no pseudo fields, nothing that speaks of a coding undone."""
    pairs = [(field["name"], field["value"]) for field in listed]
    upgrade = upgrade or any(name.lower() == "upgrade" for name, _ in pairs)
    hop = _HOP - {"connection"} if upgrade else _HOP
    return [(n, v) for n, v in pairs if not n.startswith(":") and n.lower() not in hop]


def _head(start: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    clean = (line.replace("\r", " ").replace("\n", " ") for line in lines)
    return "\r\n".join([*clean, "", ""]).encode("utf-8", "replace")


def _content(content: dict[str, Any]) -> bytes:
    text = content.get("text") or ""
    if content.get("encoding") == "base64":
        return base64.b64decode(text)
    return str(text).encode("utf-8", "replace")


def _message_us(message: dict[str, Any]) -> int:
    return round(float(message["time"]) * 1_000_000)


def _message(conn: int, message: dict[str, Any]) -> AnyRecord:
    side = Side.CLIENT if message["type"] == "send" else Side.SERVER
    opcode = int(message["opcode"])
    if not 0 <= opcode <= 15:
        raise NotAHar(f"opcode {opcode} of a message")
    binary = opcode == 2
    data = message["data"]
    payload = base64.b64decode(data) if binary else str(data).encode("utf-8", "replace")
    head = frame_head(opcode, len(payload), masked=side is Side.CLIENT)
    return WsFrame(0, 0, conn, side, head, payload)


# --- records -> HAR --------------------------------------------------------------------------


class _Exchange:
    """One request with its answer, and the messages of the socket that it became."""

    def __init__(self, t: int, conn: int) -> None:
        self.t, self.conn = t, conn
        self.heads = {Side.CLIENT: b"", Side.SERVER: b""}
        self.bodies = {Side.CLIENT: bytearray(), Side.SERVER: bytearray()}
        self.t_end = t
        self.messages: list[dict[str, Any]] = []
        self.partial = {Side.CLIENT: bytearray(), Side.SERVER: bytearray()}
        self.opcode = {Side.CLIENT: 1, Side.SERVER: 1}

    def part(self, part: HttpPart) -> None:
        self.heads[part.side] += part.head
        self.bodies[part.side] += part.body
        self.t_end = part.t

    def frame(self, frame: WsFrame) -> None:
        """Put messages together; what was deflated is taken as it was inflated."""
        side, opcode = frame.side, frame.head[0] & 15 if frame.head else 0
        if opcode in (1, 2):
            self.opcode[side] = opcode
        elif opcode:
            return
        self.partial[side] += frame.payload
        if not frame.last or (frame.head and not frame.head[0] & 0x80):
            return
        data = bytes(self.partial[side]) if frame.inflated is None else frame.inflated
        self.partial[side].clear()
        text = self.opcode[side] == 1
        shown = data.decode("utf-8", "replace") if text else base64.b64encode(data).decode()
        kind = "send" if side is Side.CLIENT else "receive"
        message = {"type": kind, "time": frame.t / 1e6, "opcode": self.opcode[side], "data": shown}
        self.messages.append(message)


def to_har(records: Iterable[AnyRecord], *, tool: str = "") -> dict[str, Any]:
    """Turn records into the JSON object of a HAR file; all of it stands in memory."""
    exchanges: dict[tuple[int, int], _Exchange] = {}
    latest: dict[int, _Exchange] = {}
    for record in records:
        if isinstance(record, HttpPart):
            key = record.conn, record.exchange
            exchange = exchanges.setdefault(key, _Exchange(record.t, record.conn))
            exchange.part(record)
            latest[record.conn] = exchange
        elif isinstance(record, WsFrame) and record.conn in latest:
            latest[record.conn].frame(record)
    entries = [_entry(e) for e in exchanges.values() if e.heads[Side.CLIENT]]
    name, _, version = tool.partition(" ")
    creator = {"name": name or "comfyrec", "version": version}
    return {"log": {"version": "1.2", "creator": creator, "entries": entries}}


def _entry(exchange: _Exchange) -> dict[str, Any]:
    start, asked = _taken_apart(exchange.heads[Side.CLIENT])
    method, target, version = (*start.split(" ", 2), "", "")[:3]
    host = next((v for n, v in asked if n.lower() == "host"), "localhost")
    upgraded = bool(exchange.messages) or exchange.heads[Side.SERVER].startswith(b"HTTP/1.1 101")
    url = target if "://" in target else f"{'ws' if upgraded else 'http'}://{host}{target}"
    milliseconds = (exchange.t_end - exchange.t) / 1000
    entry: dict[str, Any] = {
        "startedDateTime": _moment(exchange.t),
        "time": milliseconds,
        "request": {
            "method": method,
            "url": url,
            "httpVersion": version or "HTTP/1.1",
            "cookies": [],
            "headers": _listed(asked),
            "queryString": [{"name": n, "value": v} for n, v in _query(target)],
            "headersSize": len(exchange.heads[Side.CLIENT]),
            "bodySize": len(exchange.bodies[Side.CLIENT]),
        },
        "response": _answer(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "connection": str(exchange.conn),
    }
    body = bytes(exchange.bodies[Side.CLIENT])
    if body:
        entry["request"]["postData"] = {"mimeType": _type(asked), **_shown(body)}
    if upgraded:
        entry["_resourceType"] = "websocket"
        entry["_webSocketMessages"] = exchange.messages
    return entry


def _answer(exchange: _Exchange) -> dict[str, Any]:
    start, headers = _taken_apart(exchange.heads[Side.SERVER])
    version, status, reason = (*start.split(" ", 2), "", "", "")[:3]
    body = _decoded(bytes(exchange.bodies[Side.SERVER]), headers)
    redirect = next((v for n, v in headers if n.lower() == "location"), "")
    return {
        "status": int(status) if status.isdigit() else 0,
        "statusText": reason,
        "httpVersion": version or "HTTP/1.1",
        "cookies": [],
        "headers": _listed(headers),
        "content": {"size": len(body), "mimeType": _type(headers), **_shown(body)},
        "redirectURL": redirect,
        "headersSize": len(exchange.heads[Side.SERVER]),
        "bodySize": len(exchange.bodies[Side.SERVER]),
    }


def _taken_apart(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    start, *lines = head.decode("utf-8", "replace").splitlines() or [""]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return start, [(name.strip(), value.strip()) for name, _, value in pairs]


def _listed(headers: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _query(target: str) -> list[tuple[str, str]]:
    return parse_qsl(target.partition("?")[2], keep_blank_values=True)


def _type(headers: list[tuple[str, str]]) -> str:
    return next((v for n, v in headers if n.lower() == "content-type"), "")


def _shown(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": binascii.b2a_base64(body, newline=False).decode(), "encoding": "base64"}


def _decoded(body: bytes, headers: list[tuple[str, str]]) -> bytes:
    """Undo gzip or deflate, as HAR wants it; other codings stay as they are."""
    coding = next((v.lower() for n, v in headers if n.lower() == "content-encoding"), "")
    if coding not in ("gzip", "deflate"):
        return body
    for bits in (47, -15):  # gzip or zlib by its first bytes; some servers send bare deflate
        try:
            return zlib.decompressobj(bits).decompress(body, _BODY_BYTES_MAX)
        except zlib.error:
            continue
    return body


def _moment(t_us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t_us)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
