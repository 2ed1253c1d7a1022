"""Records -> HAR 1.2, with the messages of WebSockets, as browsers' devtools read it.

What the format cannot say is lost: fragments, control frames but close, the order of connections.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from comfyrec.cassette.records import (
    AnyRecord,
    HttpPart,
    Side,
    WsFrame,
)

__all__ = ["to_har"]

_BODY_BYTES_MAX: Final = 64 << 20
"""Inflating a body for HAR ends here; such bodies do not come from ComfyUI."""


class _Exchange:
    """One request with its answer, and the messages of the socket that it became."""

    def __init__(self, t: int, conn: int) -> None:
        self.t, self.conn = t, conn
        self.heads = {Side.CLIENT: b"", Side.SERVER: b""}
        self.bodies = {Side.CLIENT: bytearray(), Side.SERVER: bytearray()}
        self.t_end = self.t_last = t
        self.messages: list[dict[str, Any]] = []
        self.partial = {Side.CLIENT: bytearray(), Side.SERVER: bytearray()}
        self.opcode = {Side.CLIENT: 1, Side.SERVER: 1}
        self.current = {Side.CLIENT: 0, Side.SERVER: 0}
        """The first byte of the frame that is under way."""

    def part(self, part: HttpPart) -> None:
        self.heads[part.side] += part.head
        self.bodies[part.side] += part.body
        self.t_end = self.t_last = part.t

    def frame(self, frame: WsFrame) -> None:
        """Put messages together; what was deflated is taken as it was inflated."""
        side = frame.side
        if frame.head:
            self.current[side] = frame.head[0]
        opcode = self.current[side] & 15
        if opcode in (1, 2):
            self.opcode[side] = opcode
        elif opcode:
            return
        self.partial[side] += frame.payload
        if not frame.last or not self.current[side] & 0x80:
            return
        data = bytes(self.partial[side]) if frame.inflated is None else frame.inflated
        self.partial[side].clear()
        text = self.opcode[side] == 1
        shown = data.decode("utf-8", "replace") if text else base64.b64encode(data).decode()
        kind = "send" if side is Side.CLIENT else "receive"
        message = {"type": kind, "time": frame.t / 1e6, "opcode": self.opcode[side], "data": shown}
        self.messages.append(message)
        self.t_last = frame.t


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
    return {"log": {"version": "1.2", "creator": creator, "pages": [], "entries": entries}}


def _entry(exchange: _Exchange) -> dict[str, Any]:
    start, asked = _taken_apart(exchange.heads[Side.CLIENT])
    method, target, version = (*start.split(" ", 2), "", "")[:3]
    host = next((v for n, v in asked if n.lower() == "host"), "localhost")
    upgraded = bool(exchange.messages) or exchange.heads[Side.SERVER].startswith(b"HTTP/1.1 101")
    url = target if "://" in target else f"{'ws' if upgraded else 'http'}://{host}{target}"
    waited = (exchange.t_end - exchange.t) / 1000
    # A socket is under way until its last message; devtools show one without a time as pending.
    heard = max(0.0, (exchange.t_last - exchange.t_end) / 1000)
    entry: dict[str, Any] = {
        "startedDateTime": _moment(exchange.t),
        "time": waited + heard,
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
        "timings": {"send": 0, "wait": waited, "receive": heard},
        "connection": str(exchange.conn),
    }
    body = bytes(exchange.bodies[Side.CLIENT])
    if body:
        entry["request"]["postData"] = {"mimeType": _type(asked), **_shown(body)}
    if upgraded:
        entry["_resourceType"] = "websocket"
        entry["_connectionId"] = str(exchange.conn)
        entry["_webSocketMessages"] = exchange.messages
    elif not entry["response"]["content"]["mimeType"].startswith("image/"):
        # By the media type alone devtools would take JSON for a script.
        entry["_resourceType"] = "fetch"
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
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t_us)
    except OverflowError:  # no calendar has it
        moment = datetime.min.replace(tzinfo=UTC) if t_us < 0 else datetime.max.replace(tzinfo=UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
