"""HAR 1.2 -> records, WebSockets included, with everything that it does not hold said in notes.

A cassette made of HAR has plain heads with the true length of each body. Files of Chrome, Firefox,
Safari, Playwright, mitmproxy and Charles are read. Only the host that speaks ComfyUI is taken, as a
page loads much else.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

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
from comfyrec.wire.frames import frame_head

__all__ = ["HarImport", "NotAHar", "is_har"]

_HOP: Final = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})
_BOM: Final = b"\xef\xbb\xbf"
_COMFYUI: Final = re.compile(
    r"/(?:api/)?(?:prompt|queue|interrupt|history|object_info|system_stats|ws|view|upload/\w+"
    r"|free|embeddings|jobs|features|extensions|userdata|models|settings|users)(?:/|$)"
)
"""Paths of ComfyUI's routes, with or without ``/api``."""
_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
_PIECE_BYTES: Final = 8 << 20
"""No record holds more of a body; a larger one is divided."""
_YEARS_MAX: Final = 9_000
_SECONDS_MAX: Final = 1e11
"""A larger number of seconds since 1970 is one of milliseconds."""
_SINCE_1970: Final = 1e8
"""A smaller one counts from the request."""
_NOTES_MAX: Final = 1000

Attached = Callable[[str], bytes | None]
"""The name of a file that stands beside the HAR, or in one archive with it -> its bytes."""


class NotAHar(ValueError):
    """A file that is not HAR; the sentence says why."""


class _BadEntry(ValueError):
    """An entry that cannot be read; the sentence names the field."""


def is_har(start: bytes) -> bool:
    """Whether these first bytes are of a HAR file."""
    return start.lstrip(_BOM + b" \t\r\n").startswith(b"{") and b'"log"' in start[:1000]


class HarImport:
    """One HAR file on its way to records.

    Args:
        data: the file.
        tool: what stands in the session as maker.
        host: only entries of this host, ``name`` or ``name:port``; by default the one that speaks
            ComfyUI.
        attached: reads bodies that Playwright puts into files of their own.

    Raises:
        NotAHar: it is not JSON, has no entries, or none of this host.
    """

    def __init__(
        self,
        data: bytes,
        *,
        tool: str = "",
        host: str | None = None,
        attached: Attached = lambda name: None,
    ) -> None:
        self._tool, self._attached = tool, attached
        log = _log_of(data)
        self._creator = _creator(log)
        self._entries = list(enumerate(log["entries"]))
        self.bodies_omitted = 0
        """Bodies that the file does not hold, though it tells their size."""
        self.unreadable = 0
        """Entries that could not be read."""
        self.other_hosts = Counter[str]()
        """Entries of other hosts, which were left out."""
        self.hosts = self._chosen(host)

    def _chosen(self, host: str | None) -> frozenset[str] | None:
        """The hosts to take; None for all."""
        spoken = Counter[str]()
        seen: dict[str, None] = {}
        for _, entry in self._entries:
            url = _url_of(entry)
            if url is not None:
                seen[url.netloc_shown] = None
                spoken[url.netloc_shown] += _COMFYUI.match(url.path) is not None
        if host is not None:
            wanted = host.lower()
            found = frozenset(h for h in seen if wanted in (h, h.rpartition(":")[0]))
            if not found:
                raise NotAHar(f"it has no entry of the host {host}; it has {_listed(seen)}")
            return found
        if not spoken or not spoken.most_common(1)[0][1]:
            return None
        return frozenset({spoken.most_common(1)[0][0]})

    def records(self) -> Iterator[AnyRecord]:
        """The records of one cassette."""
        happened: list[tuple[int, AnyRecord]] = []
        conn = 0
        for number, entry in sorted(self._entries, key=lambda pair: _started(pair[1])):
            url = _url_of(entry)
            if url is not None and url.scheme not in _SCHEMES:
                continue  # data: and blob: never crossed a wire
            if url is not None and self.hosts is not None and url.netloc_shown not in self.hosts:
                self.other_hosts[url.netloc_shown] += 1
                continue
            conn += 1
            try:
                happened += _Entry(conn, entry, self._attached, self._omitted).records()
            except _BadEntry as why:
                self.unreadable += 1
                text = f"log.entries[{number}]: {why}"
                happened.append((_started(entry), Note(0, 0, conn, "unreadable_entry", text)))
        yield from self._numbered(happened)

    def _omitted(self) -> None:
        self.bodies_omitted += 1

    def _numbered(self, happened: list[tuple[int, AnyRecord]]) -> Iterator[AnyRecord]:
        happened.sort(key=lambda pair: pair[0])
        first = happened[0][0] if happened else 0
        about = {"imported": "HAR", "creator": self._creator}
        yield Session(0, first, FORMAT, FORMAT, self._tool, "", (), about)
        for seq, (t, record) in enumerate(happened, 1):
            yield msgspec.structs.replace(record, seq=seq, t=t)
        last = happened[-1][0] if happened else 0
        yield End(len(happened) + 1, last, len(happened) + 1)


def _listed(hosts: Iterable[str]) -> str:
    names = sorted(hosts)
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} others" if len(names) > 5 else shown or "none"


def _log_of(data: bytes) -> dict[str, Any]:
    try:
        whole = msgspec.json.decode(data.removeprefix(_BOM))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotAHar("it is not a HAR file: it is not JSON") from None
    log = whole.get("log") if isinstance(whole, dict) else None
    if not isinstance(log, dict) or not isinstance(log.get("entries"), list):
        raise NotAHar('it is not a HAR file: it has no "log" with a list of "entries"')
    return log


def _creator(log: dict[str, Any]) -> str:
    creator = log.get("creator")
    if not isinstance(creator, dict):
        return ""
    return f"{creator.get('name', '')} {creator.get('version', '')}".strip()


class _Url:
    """An address taken apart."""

    def __init__(self, text: str) -> None:
        url = urlsplit(text)
        self.scheme = url.scheme.lower()
        self.netloc = url.netloc.rpartition("@")[2]
        self.netloc_shown = self.netloc.lower()
        self.path = url.path or "/"
        self.target = self.path + (f"?{url.query}" if url.query else "")


def _url_of(entry: Any) -> _Url | None:
    try:
        text = entry["request"]["url"]
        return _Url(text) if isinstance(text, str) else None
    except (KeyError, TypeError, ValueError):
        return None


def _us(moment: object) -> int:
    try:
        since = datetime.fromisoformat(str(moment))
    except ValueError:
        raise _BadEntry('"startedDateTime" is not a time') from None
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return (since - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _started(entry: Any) -> int:
    try:
        return _us(entry["startedDateTime"])
    except (_BadEntry, KeyError, TypeError):
        return 0


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _BadEntry(f'"{name}" is not an object')
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _BadEntry(f'"{name}" is not a number')
    return float(value)


class _Entry:
    """One entry, on a connection of its own: HAR does not say which of them was shared."""

    def __init__(
        self, conn: int, entry: object, attached: Attached, omitted: Callable[[], None]
    ) -> None:
        self._conn, self._attached, self._omitted = conn, attached, omitted
        self._entry = _object(entry, "entry")
        self._asked = _us(self._entry.get("startedDateTime"))

    def records(self) -> list[tuple[int, AnyRecord]]:
        """What happened, with the time of it.

        Raises:
            _BadEntry: a field that is needed is not what it must be.
        """
        asked, conn = self._asked, self._conn
        took = self._entry.get("time") or 0
        answered = asked + self._microseconds(max(0.0, _number(took, "time")), "time", 1000)
        request = _object(self._entry.get("request"), "request")
        response = _object(self._entry.get("response") or {}, "response")
        found: list[tuple[int, AnyRecord]] = [(asked, Opened(0, 0, conn))]
        found += [(asked, record) for record in self._request(request)]
        messages = self._entry.get("_webSocketMessages")
        status = int(_number(response.get("status") or 0, "response.status"))
        if messages is None:
            if status > 0:
                found += [(answered, record) for record in self._response(response, status)]
            return [*found, (answered, Closed(0, 0, conn, Side.CLIENT))]
        if not isinstance(messages, list):
            raise _BadEntry('"_webSocketMessages" is not a list')
        head = _response_head(response, status or 101, None)
        found.append((asked, HttpPart(0, 0, conn, Side.SERVER, 0, head)))
        found += [self._message(message) for message in messages]
        found.append((max(t for t, _ in found), Closed(0, 0, conn, Side.SERVER)))
        return found

    def _microseconds(self, value: float, name: str, each: int) -> int:
        if not abs(value) * each < _YEARS_MAX * 366 * 86_400 * 1e6:
            raise _BadEntry(f'"{name}" is beyond all times')
        return round(value * each)

    def _request(self, request: dict[str, Any]) -> Iterator[AnyRecord]:
        if not isinstance(request.get("url"), str):
            raise _BadEntry('"request.url" is not a text')
        url = _url_of(self._entry)
        if url is None:
            raise _BadEntry('"request.url" is not an address')
        body, note = self._content(_object(request.get("postData") or {}, "request.postData"), "")
        headers = _headers(request.get("headers") or [], "request.headers")
        if not any(name.lower() == "host" for name, _ in headers):
            headers.insert(0, ("Host", url.netloc))
        if body:
            headers.append(("Content-Length", str(len(body))))
        head = _head(f"{request.get('method', 'GET')} {url.target} HTTP/1.1", headers)
        yield from self._parts(Side.CLIENT, head, body)
        yield from note

    def _response(self, response: dict[str, Any], status: int) -> Iterator[AnyRecord]:
        content = _object(response.get("content") or {}, "response.content")
        body, note = self._content(content, "the answer's")
        if not body and not note and self._has_lost_body(response, status):
            size = int(_number(response.get("bodySize") or 0, "response.bodySize"))
            note = self._omission("the answer's body is not in the file", size)
        head = _response_head(response, status, len(body))
        yield from self._parts(Side.SERVER, head, body)
        yield from note

    def _has_lost_body(self, response: dict[str, Any], status: int) -> bool:
        method = _object(self._entry.get("request"), "request").get("method")
        size = response.get("bodySize")
        has_body = method != "HEAD" and status not in (204, 205, 304) and status >= 200
        return has_body and isinstance(size, int) and size > 0 and not (300 <= status < 400)

    def _parts(self, side: Side, head: bytes, body: bytes) -> Iterator[AnyRecord]:
        """One message, a large body in several parts."""
        for at in range(0, max(1, len(body)), _PIECE_BYTES):
            piece = body[at : at + _PIECE_BYTES]
            last = at + _PIECE_BYTES >= len(body)
            yield HttpPart(0, 0, self._conn, side, 0, b"" if at else head, piece, last=last)

    def _content(self, content: dict[str, Any], whose: str) -> tuple[bytes, list[AnyRecord]]:
        """A body, and a note when the file does not hold all of it."""
        size = content.get("size")
        size = size if isinstance(size, int) and size > 0 else 0
        name = content.get("_file")
        if isinstance(name, str):
            body = self._attached(name)
            if body is not None:
                return body, []
            return b"", self._omission(f"the file {name} is not there", size)
        if "text" in content and content["text"] is not None:
            return _text_of(content), []
        if content.get("params"):
            pairs = [_object(pair, "request.postData.params") for pair in content["params"]]
            return "&".join(f"{p.get('name', '')}={p.get('value', '')}" for p in pairs).encode(), []
        if size:
            return b"", self._omission(f"{whose} body is not in the file".strip(), size)
        return b"", []

    def _omission(self, why: str, size: int) -> list[AnyRecord]:
        self._omitted()
        return [Note(0, 0, self._conn, "body_omitted", why, size)]

    def _message(self, message: object) -> tuple[int, AnyRecord]:
        fields = _object(message, "_webSocketMessages")
        side = Side.CLIENT if fields.get("type") == "send" else Side.SERVER
        opcode = int(_number(fields.get("opcode", 1), "_webSocketMessages.opcode"))
        if opcode not in (1, 2):
            opcode = 1 if opcode == 0 else opcode
        if not 0 <= opcode <= 15:
            raise _BadEntry(f'"_webSocketMessages.opcode" is {opcode}, which no frame has')
        data = fields.get("data")
        if not isinstance(data, str):
            raise _BadEntry('"_webSocketMessages.data" is not a text')
        payload = _of_base64(data) if opcode == 2 else data.encode("utf-8", "replace")
        head = frame_head(opcode, len(payload), masked=side is Side.CLIENT)
        t = self._moment(_number(fields.get("time"), "_webSocketMessages.time"))
        return t, WsFrame(0, 0, self._conn, side, head, payload)

    def _moment(self, time: float) -> int:
        """Seconds since 1970, as Chrome has them; others write milliseconds, or count from the
        request."""
        name = "_webSocketMessages.time"
        if abs(time) < _SINCE_1970:
            return self._asked + self._microseconds(time, name, 1_000_000)
        if time >= _SECONDS_MAX:
            return self._microseconds(time, name, 1000)
        return self._microseconds(time, name, 1_000_000)


def _of_base64(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        raise _BadEntry("a text is said to be base64 and is not") from None


def _text_of(content: dict[str, Any]) -> bytes:
    text = str(content["text"])
    return (
        _of_base64(text) if content.get("encoding") == "base64" else text.encode("utf-8", "replace")
    )


def _response_head(response: dict[str, Any], status: int, size: int | None) -> bytes:
    headers = _headers(response.get("headers") or [], "response.headers", upgrade=size is None)
    if size is not None:
        headers.append(("Content-Length", str(size)))
    return _head(f"HTTP/1.1 {status} {response.get('statusText') or ''}", headers)


def _headers(listed: object, name: str, *, upgrade: bool = False) -> list[tuple[str, str]]:
    """Fields as HTTP/1.1 has them: no pseudo fields, nothing that speaks of a coding undone."""
    if not isinstance(listed, list):
        raise _BadEntry(f'"{name}" is not a list')
    fields = [_object(field, name) for field in listed]
    pairs = [(str(field.get("name", "")), str(field.get("value", ""))) for field in fields]
    upgrade = upgrade or any(n.lower() == "upgrade" for n, _ in pairs)
    hop = _HOP - {"connection"} if upgrade else _HOP
    return [(n, v) for n, v in pairs if n and not n.startswith(":") and n.lower() not in hop]


def _head(start: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    clean = (line.replace("\r", " ").replace("\n", " ") for line in lines)
    return "\r\n".join([*clean, "", ""]).encode("utf-8", "replace")
