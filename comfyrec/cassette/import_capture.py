"""A raw capture (``comfy-wire-capture/1``) -> records.

Such a capture holds what a client saw, one observation a line, with heads taken apart and frames
put together. The heads of messages and frames are made again in their plainest form; what the
capture does not say (chunking, masks, the echo of a close) is what a plain peer would have sent.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from comfyrec.cassette.records import (
    FORMAT,
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Note,
    Opened,
    Session,
    Side,
    WsFrame,
)
from comfyrec.wire.frames import close_payload, frame_head

__all__ = ["CAPTURE_FORMAT", "NotACapture", "is_capture", "records_of_capture"]

CAPTURE_FORMAT: Final = "comfy-wire-capture/1"

_SIDES: Final = {"c2s": Side.CLIENT, "s2c": Side.SERVER}
_OPCODES: Final = {"text": 1, "binary": 2}
_ABNORMAL: Final = 1006
_NO_CODE: Final = 1005


class NotACapture(ValueError):
    """A line that does not have the shape of a capture."""


def is_capture(start: bytes) -> bool:
    """Whether these first bytes are of a capture."""
    return b'"comfy-wire-capture/' in start[:1000]


def records_of_capture(lines: Iterable[bytes], *, tool: str = "") -> Iterator[AnyRecord]:
    """Turn the lines of one capture into the records of one cassette.

    Raises:
        NotACapture: a line is not a JSON object of the shape; the sentence names the line.
    """
    conversion: _Conversion | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
            if conversion is None:
                conversion = _Conversion(row, tool)
                yield conversion.session
            else:
                yield from conversion.records(row)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as misfit:
            raise NotACapture(f"line {number} does not fit a capture ({misfit!r})") from None
    if conversion is None:
        raise NotACapture("there is no line in it")
    yield conversion.end()


class _Conversion:
    """One capture on its way: numbers of connections, of records, and the clock."""

    def __init__(self, header: dict[str, Any], tool: str) -> None:
        if header["kind"] != "header" or header["format"] != CAPTURE_FORMAT:
            raise NotACapture(f"its first line is not a header of {CAPTURE_FORMAT}")
        self._started_us = int(header["started_unix_ms"]) * 1000
        about = {k: v for k, v in header.items() if k not in ("kind", "format", "started_unix_ms")}
        about["imported"] = CAPTURE_FORMAT
        self.session = Session(0, self._started_us, FORMAT, FORMAT, tool, "", (), about)
        self._seq = 1
        self._t = self._started_us
        self._conns: dict[str, int] = {}
        self._ready: list[AnyRecord] = []

    def records(self, row: dict[str, Any]) -> list[AnyRecord]:
        """The records that one observation gives."""
        self._t = max(self._t, self._started_us + round(row["t"] * 1_000_000))
        self._ready = []
        _BY_KIND[row["kind"]](self, row)
        return self._ready

    def end(self) -> AnyRecord:
        """The end of the session."""
        return End(self._seq, self._t, self._seq)

    def _put(self, kind: Callable[..., AnyRecord], *fields: Any, **named: Any) -> None:
        self._ready.append(kind(self._seq, self._t, *fields, **named))
        self._seq += 1

    def _conn(self, row: dict[str, Any]) -> int:
        """The number of the connection; a new one opens."""
        label = row["conn"]
        if label not in self._conns:
            self._conns[label] = len(self._conns) + 1
            self._put(Opened, self._conns[label], label)
        return self._conns[label]

    # --- one method for each kind of line --------------------------------------------------

    def request(self, row: dict[str, Any]) -> None:
        conn = self._conn(row)
        self._put(HttpPart, conn, Side.CLIENT, 0, _request_head(row), _body(row))
        self._remark(conn, row)

    def response(self, row: dict[str, Any]) -> None:
        conn = self._conn(row)
        if row["status"] is None:
            self._put(Closed, conn, Side.SERVER, "reset", row["error"])
            return
        head = _response_head(row["status"], row["reason"], row["headers"])
        self._put(HttpPart, conn, Side.SERVER, 0, head, _body(row))
        self._remark(conn, row)
        self._put(Closed, conn, Side.CLIENT)

    def opened(self, row: dict[str, Any]) -> None:
        conn = self._conn(row)
        self._put(HttpPart, conn, Side.CLIENT, 0, _request_head(row))
        reason = "Switching Protocols" if row["status"] == 101 else ""
        head = _response_head(row["status"], reason, row["response_headers"])
        self._put(HttpPart, conn, Side.SERVER, 0, head)

    def frame(self, row: dict[str, Any]) -> None:
        payload = _body(row)
        self._frame(self._conn(row), _SIDES[row["dir"]], _OPCODES[row["opcode"]], payload)

    def closed(self, row: dict[str, Any]) -> None:
        conn, first = self._conn(row), _SIDES[row["dir"]]
        other = Side(1 - first)
        if row.get("abnormal"):
            self._put(Closed, conn, first, "reset", "no close frame came")
            return
        payload = b""
        if row["code"] not in (None, _NO_CODE):
            payload = close_payload(row["code"], row["reason"])
        for side in (first, other):
            self._frame(conn, side, 8, payload)
        self._put(Closed, conn, Side.SERVER)

    def aborted(self, row: dict[str, Any]) -> None:
        self._put(Closed, self._conn(row), Side.CLIENT, "reset")

    def note(self, row: dict[str, Any]) -> None:
        self._put(Note, 0, "comment", f"{row['conn']}: {row['text']}")

    def refused(self, row: dict[str, Any]) -> None:
        self._put(Note, 0, "refused", f"{row['path']}: {row['text']}")

    # --- helpers -----------------------------------------------------------------------------

    def _frame(self, conn: int, side: Side, opcode: int, payload: bytes) -> None:
        head = frame_head(opcode, len(payload), masked=side is Side.CLIENT)
        self._put(WsFrame, conn, side, head, payload)

    def _remark(self, conn: int, row: dict[str, Any]) -> None:
        """Say where the capture holds less of a body than the wire did."""
        if row.get("body_omitted"):
            digest = row.get("body_sha256", "")
            self._put(Note, conn, "body_omitted", digest, row["body_bytes"])
        if "trimmed" in row:
            self._put(Note, conn, "trimmed", row["trimmed"], row["original_bytes"])


_BY_KIND: Final[dict[str, Callable[[_Conversion, dict[str, Any]], None]]] = {
    "http.request": _Conversion.request,
    "http.response": _Conversion.response,
    "http.error": _Conversion.refused,
    "ws.open": _Conversion.opened,
    "ws.frame": _Conversion.frame,
    "ws.close": _Conversion.closed,
    "ws.abort": _Conversion.aborted,
    "note": _Conversion.note,
}


def _body(row: dict[str, Any]) -> bytes:
    if "b64" in row:
        return base64.b64decode(row["b64"], validate=True)
    return str(row.get("text", "")).encode()


def _request_head(row: dict[str, Any]) -> bytes:
    target = f"{row['path']}?{row['query']}" if row["query"] else row["path"]
    return _head(f"{row['method']} {target} HTTP/1.1", row["headers"])


def _response_head(status: int, reason: str | None, headers: list[list[str]]) -> bytes:
    return _head(f"HTTP/1.1 {status} {reason or ''}", headers)


def _head(start: str, headers: list[list[str]]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
