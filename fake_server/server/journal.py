"""The latest requests, answers and messages in order, bounded by number and by size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.http.hint import HINT_HEADER
from fake_server.source import (
    Abort,
    Action,
    Close,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Send,
    UpgradeRequested,
)

__all__ = ["ENTRIES_MAX", "TEXT_MAX", "Journal"]

ENTRIES_MAX: Final = 5_000
"""More than tests look at. The oldest are dropped first, messages of one moment together."""
TEXT_MAX: Final = 65_536
"""Of one body or message; what is longer is kept up to here and marked ``cut``."""
BYTES_MAX: Final = 32 * 1024 * 1024
"""Of all bodies and messages together."""
TOGETHER_MAX: Final = 32
"""Messages of one moment that share an entry, and are forgotten together."""


class _Entry(msgspec.Struct, gc=False):
    serial: int
    t: int
    what: str
    number: int
    facts: Any
    content: str | bytes = b""
    size: int = 0


class _Sent(msgspec.Struct, gc=False):
    """Messages that left at one moment, one after the other: an entry for each, made when read."""

    serial: int
    t: int
    sends: list[Send]
    size: int = 0


class Journal:
    """Entries as plain JSON objects: ``serial``, ``t`` (virtual microseconds), ``what``, ...

    ``what`` is ``request``, ``answer``, ``more`` (of a body in pieces), ``upgrade``, ``received``,
    ``sent``, ``closed``, ``left``, ``dropped``, ``cut``, or what ``note`` was given. ``number`` is
    that of the exchange or socket, ``sockets`` are those that a message went to.
    """

    def __init__(self) -> None:
        self._entries: deque[_Entry | _Sent] = deque()
        self._open: _Sent | None = None  # the last entry, if more messages may join it
        self._serial = self._bytes = self._count = self.forgotten = 0

    def clear(self) -> None:
        """Forget all entries; the serial numbers go on."""
        self._entries.clear()
        self._open = None
        self._bytes = self._count = self.forgotten = 0

    def happened(self, happened: Happened, now: int) -> None:
        """Note what came from outside."""
        match happened:
            case RequestReceived():
                self._request("request", happened.exchange, happened.request, now)
            case UpgradeRequested():
                self._request("upgrade", happened.socket, happened.request, now)
            case MessageReceived():
                self._note(now, "received", happened.socket, None, happened.message)
            case Disconnected():
                self._note(now, "left", happened.socket, {"code": happened.code})
            case RequestAborted():
                self._note(now, "dropped", happened.exchange)

    def acted(self, action: Action, now: int) -> None:
        """Note what went out."""
        match action:
            case Send():
                self.sent(action, now)
            case Respond():
                answer = action.answer
                facts = {"status": answer.status, **_marks(answer), _HEADERS: answer.headers}
                if action.more:
                    facts["more"] = True
                body = answer.body if answer.stored is None else answer.stored.read(0, TEXT_MAX)
                self._note(now, "answer", action.exchange, facts, body, size=answer.body_bytes)
            case RespondMore():
                facts = {"last": action.last}
                self._note(now, "more", action.exchange, facts, action.data)
            case Close():
                self._note(now, "closed", action.socket, {"code": action.code})
            case Abort():
                self._note(now, "cut", action.socket)
            case HangUp():
                self._note(now, "cut", action.exchange)

    def sent(self, send: Send, now: int) -> None:
        """Note one message. It is fast, since servers do nothing more often."""
        size = len(send.message)
        if size > TEXT_MAX:
            self._note(now, "sent", -1, send.sockets, send.message)
            return
        there = self._open
        if there is None or there.t != now or len(there.sends) >= TOGETHER_MAX:
            there = self._open = _Sent(self._serial, now, [])
            self._entries.append(there)
        there.sends.append(send)
        there.size += size
        self._added(size)

    def note(self, now: int, what: str, text: str) -> None:
        """Note what a test did to the server: a hold, a fault."""
        self._note(now, what, -1, {"text": text})

    def entries(
        self, *, after: int = -1, what: str = "", whole: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Entries with a serial number above ``after``, of one kind if ``what`` is given.

        Args:
            whole: with all bytes that are kept, as ``content``, and the fields of answers.
        """
        for entry in self._newer_than(after):
            for one in _each(entry):
                if one.serial > after and what in ("", one.what):
                    yield _plain(one) | (_whole(one) if whole else {})

    def _newer_than(self, after: int) -> list[_Entry | _Sent]:
        """The entries that may be; who reads on looks at the last few of thousands."""
        found = []
        for entry in reversed(self._entries):
            found.append(entry)
            if entry.serial <= after:
                break
        return found[::-1]

    def _request(self, what: str, number: int, request: Request, now: int) -> None:
        # A copy, without what others will have read of it by then: a parsed body takes ten times
        # the room, and thousands of requests are kept.
        bare = msgspec.structs.replace(request)
        body = request.body_start(TEXT_MAX) if request.stored is not None else request.body
        self._note(now, what, number, bare, body, size=request.body_bytes)

    def _note(
        self,
        now: int,
        what: str,
        number: int,
        facts: Any = None,
        content: str | bytes = b"",
        *,
        size: int | None = None,
    ) -> None:
        kept = len(content)
        size = kept if size is None else size
        if size > TEXT_MAX:
            content, kept = content[:TEXT_MAX], TEXT_MAX
            if isinstance(facts, Request):
                facts = msgspec.structs.replace(facts, body=b"", stored=None)
        self._open = None
        self._entries.append(_Entry(self._serial, now, what, number, facts, content, size))
        self._added(kept)

    def _added(self, kept: int) -> None:
        self._serial += 1
        self._count += 1
        self._bytes += kept
        while self._bytes > BYTES_MAX or self._count > ENTRIES_MAX:
            self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        oldest = self._entries.popleft()
        count, size = 1, min(oldest.size, TEXT_MAX)
        if isinstance(oldest, _Sent):
            count, size = len(oldest.sends), oldest.size
        self._bytes -= size
        self._count -= count
        self.forgotten += count


def _each(entry: _Entry | _Sent) -> Iterator[_Entry]:
    if isinstance(entry, _Entry):
        yield entry
        return
    for number, send in enumerate(entry.sends, entry.serial):
        message = send.message
        yield _Entry(number, entry.t, "sent", -1, send.sockets, message, len(message))


def _plain(entry: _Entry) -> dict[str, Any]:
    from fake_server.server import hidden

    plain: dict[str, Any] = {"serial": entry.serial, "t": entry.t, "what": entry.what}
    if isinstance(entry.facts, tuple):
        plain["sockets"] = list(entry.facts)
    else:
        plain["number"] = entry.number
    if isinstance(entry.facts, Request):
        request = entry.facts
        plain |= {
            "method": request.method,
            "target": hidden.target(request.target),
            "headers": [[name, hidden.header(name, value)] for name, value in request.headers],
        }
    elif isinstance(entry.facts, dict):
        plain |= {name: value for name, value in entry.facts.items() if name != _HEADERS}
    if entry.size:
        plain |= _content(entry)
    return plain


def _whole(entry: _Entry) -> dict[str, Any]:
    """What else is known of it, for one who writes it down."""
    more: dict[str, Any] = {}
    if isinstance(entry.content, bytes) and entry.what in ("sent", "answer", "more"):
        more["content"] = entry.content
    if isinstance(entry.facts, dict) and _HEADERS in entry.facts:
        more["headers"] = [list(field) for field in entry.facts[_HEADERS]]
    return more


def _content(entry: _Entry) -> dict[str, Any]:
    content = entry.content
    if entry.what == "request" and isinstance(content, bytes):
        from fake_server.server import hidden

        content = hidden.body(content)
    shown: dict[str, Any] = {"size_bytes": entry.size}
    if entry.size > TEXT_MAX:
        shown["cut"] = True
    if isinstance(content, str):
        return shown | {"text": content}
    try:
        return shown | {"text": content.decode()} if entry.what != "sent" else shown | _hex(content)
    except UnicodeDecodeError:
        return shown | _hex(content)


def _hex(content: bytes) -> dict[str, Any]:
    # Enough to tell the kind of a binary frame or file.
    return {"head_hex": content[:32].hex()}


def _marks(answer: Response) -> dict[str, str]:
    """What the source says of its own answer: that it was made up, or matched loosely."""
    marks = {
        name[len(_MARK) :].lower(): value
        for name, value in answer.headers
        if name.startswith(_MARK)
    }
    hints = [value for name, value in answer.headers if name == HINT_HEADER]
    return marks | {"hint": "; ".join(hints)} if hints else marks


_MARK: Final = "X-Comfyrec-"
_HEADERS: Final = "headers"
"""Of an answer, among its facts; only who writes it down asks for them."""
