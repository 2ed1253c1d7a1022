"""A source and a polite client without a network: what is said, in virtual time.

The client connects, submits one prompt, asks history and queue when nothing more is to come, and
connects again when its socket ends. What it meets is the scenario.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from fake_server.actions import (
    Abort,
    Accept,
    Action,
    Asked,
    Close,
    Freeze,
    HangUp,
    Happened,
    Knocked,
    Left,
    Linger,
    Lingered,
    Listen,
    Raw,
    Reply,
    Request,
    Send,
    Source,
    Wake,
    Woke,
)
from fake_server.scenarios.kit.frames import Frame, look
from fake_server.scenarios.kit.routes import read_json, write_json

__all__ = ["Line", "rehearse"]

POLLS_MAX: Final = 3
"""How often it asks before it gives up."""
CONNECTS_MAX: Final = 3
SUBMITS_MAX: Final = 3
PAUSE_US: Final = 100_000
"""Before it tries again what failed."""
LINES_MAX: Final = 2_000
_CLIENT: Final = "3f9d1c52-7d0a-4b7e-9a53-1f2f6f0f8a11"


class Line(msgspec.Struct, frozen=True):
    """One thing that was said. ``t`` is in virtual microseconds."""

    t: int
    to_client: bool
    text: str
    message: str | bytes = b""
    """The frame or body itself."""


class _Stand:
    """The client's state: what it waits for, and what it has tried."""

    def __init__(self, workflow: Mapping[str, Any], prefix: str) -> None:
        self.workflow, self.prefix = workflow, prefix
        self.numbers = 0
        self.now = 0
        self.wakes: list[int] = []
        self.inbox: deque[Happened] = deque()
        self.asked: dict[int, Request] = {}
        self.open: set[int] = set()
        self.connects = self.polls = self.submits = 0
        self.submitting: int | None = None
        self.done = self.unheard = False
        self.prompt_id = ""

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def plain(self, text: str) -> str:
        """The text with words for the ids."""
        text = text.replace(_CLIENT, "{client}")
        return text.replace(self.prompt_id, "{id}") if self.prompt_id else text

    def connect(self) -> None:
        self.connects += 1
        if self.connects <= CONNECTS_MAX:
            knock = Request("GET", f"{self.prefix}/ws?clientId={_CLIENT}", _HANDSHAKE)
            self.inbox.append(Knocked(self.number(), knock))

    def ask(self, method: str, target: str, body: bytes = b"") -> None:
        request = Request(method, f"{self.prefix}{target}", (("Host", "127.0.0.1:8188"),), body)
        self.asked[self.number()] = request
        self.inbox.append(Asked(self.numbers, request))

    def submit(self) -> None:
        self.submits += 1
        body = {"prompt": self.workflow, "client_id": _CLIENT}
        self.ask("POST", "/prompt", write_json(body))
        self.submitting = self.numbers

    def failed(self, number: int) -> None:
        """A request came to nothing: it may be worth another attempt."""
        if number == self.submitting:
            self.submitting = None
        elif number not in self.asked:
            self.unheard = True

    def try_again(self) -> bool:
        """Do again what failed, behind a pause; whether there was anything."""
        submit = self.submitting is None and not self.prompt_id and self.submits < SUBMITS_MAX
        connect = self.unheard and self.connects < CONNECTS_MAX
        self.unheard = False
        if submit or connect:
            self.now += PAUSE_US if self.submits else 0
        if connect:
            self.connect()
        if submit:
            self.submit()
        return bool(self.inbox)

    def poll(self) -> None:
        self.polls += 1
        self.ask("GET", f"/history/{self.prompt_id}")
        self.ask("GET", "/queue")


_HANDSHAKE: Final = (
    ("Host", "127.0.0.1:8188"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "Y29tZnlyZWMgcmVoZWFyc2U="),
)


def rehearse(source: Source, workflow: Mapping[str, Any], *, prefix: str = "") -> Iterator[Line]:
    """Play the source to its end with one polite client, and tell what was said.

    Args:
        workflow: what the client submits.
        prefix: the path that the server's address ends in.
    """
    stand = _Stand(workflow, prefix.rstrip("/"))
    stand.connect()
    for _ in range(LINES_MAX):
        happened = _next(stand)
        if happened is None:
            return
        if isinstance(happened, Knocked | Asked):
            yield Line(stand.now, False, stand.plain(_words(happened.request)))
        for action in source.handle(happened, stand.now):
            yield from _heed(stand, action)


def _next(stand: _Stand) -> Happened | None:
    """What happens next: what the client does at once, then time, then its patience."""
    if stand.inbox:
        return stand.inbox.popleft()
    if stand.submits and stand.wakes:
        stand.now = max(stand.now, heapq.heappop(stand.wakes))
        return Woke()
    if stand.try_again():
        return stand.inbox.popleft()
    if stand.done or stand.polls >= POLLS_MAX or not stand.prompt_id:
        return None
    stand.poll()
    if not stand.open:
        stand.connect()
    return stand.inbox.popleft()


def _heed(stand: _Stand, action: Action) -> Iterator[Line]:
    """Take in what the source does."""
    match action:
        case Wake():
            heapq.heappush(stand.wakes, action.at)
            return
        case Linger():
            stand.inbox.append(Lingered(action.token))
            return
        case Accept():
            stand.open.add(action.socket)
        case Reply():
            _answered(stand, action)
        case HangUp():
            stand.failed(action.exchange)
        case Abort() | Close():
            code = action.code or 1006 if isinstance(action, Close) else 1006
            stand.open.discard(action.socket)
            stand.inbox.append(Left(action.socket, code))
    yield Line(stand.now, True, stand.plain(_deed(stand, action)), _content(action))


def _answered(stand: _Stand, reply: Reply) -> None:
    request = stand.asked.get(reply.exchange)
    if reply.answer.status == 503 or request is None:
        stand.failed(reply.exchange)
    value = read_json(reply.answer.body)
    if request is None or not isinstance(value, dict):
        return
    if request.method == "POST":
        stand.prompt_id = str(value.get("prompt_id") or "")
    elif stand.prompt_id in value and "/history/" in request.target:
        stand.done = True


def _content(action: Action) -> str | bytes:
    match action:
        case Send():
            return action.message
        case Reply():
            return action.answer.body
        case Raw():
            return action.data
    return b""


# --- in words --------------------------------------------------------------------------------


def _words(request: Request) -> str:
    return f"{request.method} {request.target}"


def _deed(stand: _Stand, action: Action) -> str:
    match action:
        case Accept():
            return "101, the socket is open"
        case Send():
            return _said(look(action.message))
        case Reply():
            asked = stand.asked.get(action.exchange)
            about = f" to {_words(asked)}" if asked else ""
            return f"{action.answer.status}{about}{_shortly(action.answer.body)}"
        case Close():
            return f"the socket is closed with {action.code}"
        case Abort():
            return "the connection of the socket is cut"
        case HangUp():
            return "the connection is cut without an answer"
        case Freeze():
            return "the connection goes dead, and nobody says so"
        case Listen():
            return "connections are taken again" if action.accept else "connections are refused"
        case Raw():
            return f"{len(action.data)} bytes of WebSocket frames"
        case _:
            return type(action).__name__.lower()


def _said(frame: Frame) -> str:
    if frame.kind is not None:
        return f"binary frame of kind {frame.kind}, {len(frame.message)} bytes"
    if not frame.type:
        return f"text: {str(frame.message)[:60]}"
    return f"{frame.type}{_facts(frame)}"


def _facts(frame: Frame) -> str:
    data = frame.data
    if frame.type == "status":
        info = (data.get("status") or {}).get("exec_info") or {}
        return f" queue_remaining={info.get('queue_remaining')}"
    shown = ("node", "nodes", "value", "max", "node_id", "exception_type", "output")
    words = [f"{name}={_short(data[name])}" for name in shown if name in data]
    return f" {' '.join(words)}" if words and frame.type != "progress_state" else ""


def _short(value: Any) -> str:
    text = msgspec.json.encode(_plain(value)).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else str(value)


def _shortly(body: bytes) -> str:
    text = body[:80].decode("utf-8", "replace").replace("\n", " ")
    return f": {text}{'...' if len(body) > 80 else ''}" if text else ""
