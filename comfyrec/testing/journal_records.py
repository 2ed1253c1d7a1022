"""The journal of a fake server -> records, as a recorder in front of it would have written them.

Each socket and each exchange is a connection of its own. Times are virtual, and go on where a
server begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Session, Side, WsFrame
from comfyrec.wire.frames import close_payload, frame_head

__all__ = ["JournalRecords"]

START_US: Final = 1
"""Virtual time begins at 0, which stands for "no time" in records."""
_TEXT, _BINARY, _CLOSE = 1, 2, 8


class JournalRecords:
    """Takes entries in order, all at once or a few at a time.

    Entries with ``content`` give whole records, others what their ``text`` or ``head_hex`` holds.

    Args:
        about: free facts of the session, such as ``comfyui_version``.
        epoch_us: what virtual times are added to.
    """

    def __init__(self, *, about: Mapping[str, Any] | None = None, epoch_us: int = START_US) -> None:
        self._about, self._base = dict(about or {}), epoch_us
        self._records = 0
        self._stopped = False
        self.t = epoch_us
        """Time of the latest record."""
        self.serial = -1
        """Of the latest entry."""

    def feed(self, entries: Iterable[Mapping[str, Any]]) -> list[AnyRecord]:
        """The records of the next entries; the first ones come behind a session."""
        told = list(entries)
        refused = {entry["number"] for entry in told if entry["what"] == "answer"}
        records: list[AnyRecord] = []
        if not self._records:
            records.append(Session(0, self.t, about=self._about))
        for entry in told:
            self.serial = max(entry.get("serial", -1), self.serial)
            self._stopped = self._stopped or entry["what"] == "fault"
            if self._stopped and entry["what"] == "left":
                entry = {**entry, "what": "cut"}  # the server's own doing
            if entry["t"] + self._base < self.t:
                self._base = self.t - entry["t"]  # it has begun anew
            self.t = entry["t"] + self._base
            for make, fields in _records(entry, refused):
                records.append(make(self._records + len(records), self.t, **fields))
        self._records += len(records)
        return records


def _records(
    entry: Mapping[str, Any], answered: set[int]
) -> Iterator[tuple[type[AnyRecord], dict[str, Any]]]:
    number = entry.get("number", -1)
    match entry["what"]:
        case "request":
            yield HttpPart, _part(number, Side.CLIENT, _request_head(entry), entry)
        case "answer":
            part = _part(number, Side.SERVER, _answer_head(entry), entry)
            yield HttpPart, {**part, "last": not entry.get("more")}
        case "more":
            yield HttpPart, {**_part(number, Side.SERVER, b"", entry), "last": entry["last"]}
        case "upgrade":
            yield HttpPart, _part(number, Side.CLIENT, _request_head(entry), entry)
            if number not in answered:
                head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
                yield HttpPart, _part(number, Side.SERVER, head, {})
        case "received":
            yield WsFrame, _frame(number, Side.CLIENT, entry)
        case "sent":
            for socket in entry["sockets"]:
                yield WsFrame, _frame(socket, Side.SERVER, entry)
        case "closed" | "left":
            yield from _ended(entry, number)
        case "cut" | "dropped":
            side = Side.SERVER if entry["what"] == "cut" else Side.CLIENT
            yield Closed, {"conn": number, "side": side, "how": "reset"}


def _request_head(entry: Mapping[str, Any]) -> bytes:
    return _head(f"{entry['method']} {entry['target']} HTTP/1.1", entry["headers"])


def _answer_head(entry: Mapping[str, Any]) -> bytes:
    return _head(f"HTTP/1.1 {entry['status']} ", entry.get("headers", ()))


def _head(start: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _part(number: int, side: Side, head: bytes, entry: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"conn": number, "side": side, "exchange": 0, "head": head}
    return {**fields, "body": _content(entry)}


def _frame(number: int, side: Side, entry: Mapping[str, Any]) -> dict[str, Any]:
    content = _content(entry)
    opcode = _TEXT if "text" in entry else _BINARY
    head = frame_head(opcode, len(content), masked=side is Side.CLIENT)
    return {"conn": number, "side": side, "head": head, "payload": content}


def _ended(
    entry: Mapping[str, Any], number: int
) -> Iterator[tuple[type[AnyRecord], dict[str, Any]]]:
    side = Side.SERVER if entry["what"] == "closed" else Side.CLIENT
    code = entry.get("code")
    if isinstance(code, int) and 1000 <= code < 5000 and code not in (1005, 1006):
        payload = close_payload(code, "")
        head = frame_head(_CLOSE, len(payload), masked=side is Side.CLIENT)
        yield WsFrame, {"conn": number, "side": side, "head": head, "payload": payload}
    elif code == 1006:
        yield Closed, {"conn": number, "side": side, "how": "reset"}


def _content(entry: Mapping[str, Any]) -> bytes:
    whole = entry.get("content")
    if isinstance(whole, bytes):
        return whole
    if "text" in entry:
        return str(entry["text"]).encode("utf-8", "surrogateescape")
    return bytes.fromhex(entry.get("head_hex", ""))
