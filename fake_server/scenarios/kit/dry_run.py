"""A source and a polite client without a network: what is said, in virtual time.

The client connects, uploads what its prompt loads, submits it, asks history and queue when nothing
more is to come, connects again when its socket ends, and fetches the files of the outputs. What it
meets is the scenario.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from comfyrec.events.outputs import all_files_in
from comfyrec.wording import shortened
from fake_server.scenarios.kit.matchers import FrameView, look, unframed
from fake_server.scenarios.kit.requests import read_json, write_json
from fake_server.scenarios.kit.stage import Stage
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    Freeze,
    HangUp,
    Happened,
    Listen,
    RealTimePassed,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    SendRaw,
    Source,
    UpgradeRequested,
    WaitRealTime,
    Wake,
    Woke,
)

__all__ = ["DryRunLine", "dry_run"]

POLLS_MAX: Final = 3
"""How often it asks before it gives up."""
CONNECTS_MAX: Final = 3
SUBMITS_MAX: Final = 3
PAUSE_US: Final = 100_000
"""Before it tries again what failed."""
VIEWS_MAX: Final = 3
LINES_MAX: Final = 2_000
NOTABLE_BYTES: Final = 2_000
"""A message of this size or more is told with its size."""
_CLIENT: Final = "3f9d1c52-7d0a-4b7e-9a53-1f2f6f0f8a11"


_NOTHING: Final[Mapping[str, bytes]] = {}


class DryRunLine(msgspec.Struct, frozen=True):
    """One thing that was said. ``t`` is in virtual microseconds."""

    t: int
    to_client: bool
    text: str
    message: str | bytes = b""
    """The frame or body itself."""


class _PoliteClient:
    """The client's state: what it waits for, and what it has tried."""

    def __init__(
        self,
        workflow: Mapping[str, Any],
        prefix: str,
        images: Mapping[str, bytes],
        client_id: str,
        key: str,
    ) -> None:
        self.key = key
        self.client_id = client_id
        """Empty until the server has given it one."""
        self.workflow = json.loads(json.dumps(workflow))
        self.prefix, self.images = prefix, images
        self.to_upload = [
            node
            for node in self.workflow.values()
            if (node.get("inputs") or {}).get("image") in [*images]
        ]
        self.uploading: dict[str, Any] = {}
        self.to_view: list[str] = []
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
        self.notes_read = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def plain(self, text: str) -> str:
        """The text with words for the ids."""
        text = text.replace(self.client_id, "{client}") if self.client_id else text
        return text.replace(self.prompt_id, "{id}") if self.prompt_id else text

    def connect(self) -> None:
        self.connects += 1
        if self.connects <= CONNECTS_MAX:
            query = f"?clientId={self.client_id}" if self.client_id else ""
            target = f"{self.prefix}/ws{query}"
            if self.key:
                target = f"{self.prefix.removesuffix('/api')}/ws{query}&token={self.key}"
            knock = Request("GET", target, _HANDSHAKE)
            self.inbox.append(UpgradeRequested(self.number(), knock))

    def ask(self, method: str, target: str, body: bytes = b"", *headers: tuple[str, str]) -> None:
        keys = (("X-API-Key", self.key),) if self.key else ()
        fields = (("Host", "127.0.0.1:8188"), *keys, *headers)
        request = Request(method, f"{self.prefix}{target}", fields, body)
        self.asked[self.number()] = request
        self.inbox.append(RequestReceived(self.numbers, request))

    def upload(self) -> None:
        self.uploading = self.to_upload.pop(0)
        name = self.uploading["inputs"]["image"]
        part = f'Content-Disposition: form-data; name="image"; filename="{name}"'
        head = f"--{_BOUNDARY}\r\n{part}\r\nContent-Type: image/png\r\n\r\n".encode()
        body = head + self.images[name] + f"\r\n--{_BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        self.ask("POST", "/upload/image", body, ("Content-Type", kind))

    def submit(self) -> None:
        self.submits += 1
        body: dict[str, Any] = {"prompt": self.workflow}
        if self.client_id:
            body["client_id"] = self.client_id
        self.ask("POST", "/prompt", write_json(body))
        self.submitting = self.numbers

    def read(self, message: str | bytes) -> None:
        """Take over the id that the server greets it with, if it has none of its own."""
        sid = look(message).data.get("sid")
        if not self.client_id and isinstance(sid, str):
            self.client_id = sid

    def failed(self, number: int) -> None:
        """A request came to nothing: it may be worth another attempt."""
        if number == self.submitting:
            self.submitting = None
        elif number not in self.asked:
            self.unheard = True

    def try_again(self) -> bool:
        """Do what is still to do, and again what failed; whether there was anything."""
        if self.to_upload:
            self.upload()
            return True
        submit = self.submitting is None and not self.prompt_id and self.submits < SUBMITS_MAX
        connect = self.unheard and self.connects < CONNECTS_MAX
        self.unheard = False
        if submit or connect:
            self.now += PAUSE_US if self.submits else 0
        if connect:
            self.connect()
        if submit and (self.client_id or not connect):
            self.submit()
        return bool(self.inbox)

    def poll(self) -> None:
        self.polls += 1
        if self.key:
            self.ask("GET", f"/job/{self.prompt_id}/status")
            self.ask("GET", f"/history_v2/{self.prompt_id}")
            return
        self.ask("GET", f"/history/{self.prompt_id}")
        self.ask("GET", "/queue")


_HISTORY: Final = re.compile("/history(_v2)?/")
_BOUNDARY: Final = "comfyrec-rehearsal"
_HANDSHAKE: Final = (
    ("Host", "127.0.0.1:8188"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "Y29tZnlyZWMgcmVoZWFyc2U="),
)


def dry_run(
    source: Source,
    workflow: Mapping[str, Any],
    *,
    prefix: str = "",
    images: Mapping[str, bytes] = _NOTHING,
    own_id: bool = True,
    key: str = "",
) -> Iterator[DryRunLine]:
    """Play the source to its end with one polite client, and tell what was said.

    Args:
        workflow: what the client submits.
        prefix: the path that the server's address ends in.
        images: files that it uploads where the workflow loads them.
        own_id: it brings a client id; otherwise it goes by the one that the server gives it.
        key: of Comfy Cloud, whose routes it asks for then; the prefix ends in ``/api``.
    """
    client_id = _CLIENT if own_id else ""
    client = _PoliteClient(workflow, prefix.rstrip("/"), images, client_id, key)
    client.connect()
    for _ in range(LINES_MAX):
        happened = _next(client)
        if happened is None:
            return
        if isinstance(happened, UpgradeRequested | RequestReceived):
            yield DryRunLine(client.now, False, client.plain(_words(happened.request)))
        for action in source.handle(happened, client.now):
            yield from _overheard(client, source)
            yield from _heed(client, action)
        yield from _overheard(client, source)


def _overheard(client: _PoliteClient, source: Source) -> Iterator[DryRunLine]:
    """What the scenario's other users did meanwhile."""
    journal = source.observer.journal if isinstance(source, Stage) else []
    for note in journal[client.notes_read :]:
        if note.what == "somebody":
            yield DryRunLine(client.now, False, client.plain(f"somebody else: {note.detail}"))
    client.notes_read = len(journal)


def _next(client: _PoliteClient) -> Happened | None:
    """What happens next: what the client does at once, then time, then its patience."""
    if client.inbox:
        return client.inbox.popleft()
    if client.wakes and (client.submits or not client.client_id):
        client.now = max(client.now, heapq.heappop(client.wakes))
        return Woke()
    if client.try_again():
        return client.inbox.popleft()
    if client.to_view:
        client.ask("GET", client.to_view.pop(0))
        return client.inbox.popleft()
    if client.done or client.polls >= POLLS_MAX or not client.prompt_id:
        return None
    client.poll()
    if not client.open:
        client.connect()
    return client.inbox.popleft()


def _heed(client: _PoliteClient, action: Action) -> Iterator[DryRunLine]:
    """Take in what the source does."""
    match action:
        case Wake():
            heapq.heappush(client.wakes, action.at)
            return
        case WaitRealTime():
            client.inbox.append(RealTimePassed(action.token))
            return
        case Accept():
            client.open.add(action.socket)
        case Respond():
            _answered(client, action)
        case HangUp():
            client.failed(action.exchange)
        case Abort() | Close():
            code = action.code or 1006 if isinstance(action, Close) else 1006
            client.open.discard(action.socket)
            client.inbox.append(Disconnected(action.socket, code))
    for message in _messages(action):
        client.read(message)
    yield DryRunLine(client.now, True, client.plain(_deed(client, action)), _content(action))


def _answered(client: _PoliteClient, reply: Respond) -> None:
    request = client.asked.get(reply.exchange)
    if reply.answer.status == 503 or request is None:
        client.failed(reply.exchange)
    value = read_json(reply.answer.body)
    if request is None or not isinstance(value, dict):
        return
    if request.target.endswith("/upload/image"):
        names = filter(None, [value.get("subfolder"), value.get("name")])
        client.uploading["inputs"]["image"] = "/".join(map(str, names))
    elif request.method == "POST":
        client.prompt_id = str(value.get("prompt_id") or "")
    elif client.prompt_id in value and _HISTORY.search(request.target):
        client.to_view = [] if client.done else list(_views(value[client.prompt_id]))[:VIEWS_MAX]
        client.done = True


def _views(entry: Mapping[str, Any]) -> Iterator[str]:
    """The addresses of the files in a history entry's outputs."""
    for file in all_files_in(entry.get("outputs")):
        yield f"/view?{urlencode(msgspec.structs.asdict(file))}"


def _messages(action: Action) -> Iterable[str | bytes]:
    match action:
        case Send():
            return [action.message]
        case SendRaw():
            return unframed(action.data)
        case Accept():
            return unframed(action.first)
    return []


def _content(action: Action) -> str | bytes:
    match action:
        case Send():
            return action.message
        case Respond():
            return action.answer.body
        case SendRaw():
            return action.data
    return b""


# --- in words --------------------------------------------------------------------------------


def _words(request: Request) -> str:
    return f"{request.method} {request.target}"


def _deed(client: _PoliteClient, action: Action) -> str:
    match action:
        case Accept():
            return "101, the socket is open"
        case Send():
            return _said(look(action.message), client.prompt_id)
        case Respond():
            asked = client.asked.get(action.exchange)
            about = f" to {_words(asked)}" if asked else ""
            return f"{action.answer.status}{about}{_shortly(client, action.answer)}"
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
        case SendRaw():
            return f"{len(action.data)} bytes of WebSocket frames"
        case _:
            return type(action).__name__.lower()


def _said(frame: FrameView, ours: str) -> str:
    if frame.kind is not None:
        kind = f"of kind {frame.kind}" if frame.kind >= 0 else "too short for a kind"
        return f"binary frame {kind}, {len(frame.message)} bytes"
    if not frame.type or not frame.data:
        return f"text: {str(frame.message)[:60] or '(empty)'}"
    return f"{frame.type}{_facts(frame)}{_size(frame)}{_whose(frame, ours)}"


def _facts(frame: FrameView) -> str:
    data = frame.data
    if frame.type == "status":
        info = (data.get("status") or {}).get("exec_info") or {}
        return f" queue_remaining={info.get('queue_remaining')}"
    shown = ("node", "nodes", "value", "max", "node_id", "exception_type", "output")
    words = [f"{name}={_short(data[name])}" for name in shown if name in data]
    return f" {' '.join(words)}" if words and frame.type != "progress_state" else ""


def _size(frame: FrameView) -> str:
    size = len(frame.message)
    return f" ({size} bytes)" if size >= NOTABLE_BYTES else ""


def _whose(frame: FrameView, ours: str) -> str:
    """A word where a frame is not plainly of the client's own prompt."""
    if frame.prompt_id is None:
        return " (no prompt_id)" if frame.type.startswith("execut") else ""
    return " (another prompt's)" if ours and frame.prompt_id != ours else ""


def _short(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), 60)


def _shortly(client: _PoliteClient, answer: Response) -> str:
    fields = {name.lower(): value for name, value in answer.headers}
    where = f", go to {fields['location']}" if "location" in fields else ""
    broken = ", and the connection is cut" if answer.close else ""
    return f"{where}{_body(client, answer.body)}{broken}"


def _body(client: _PoliteClient, body: bytes) -> str:
    if not body:
        return ""
    if not body[:8].isascii():
        return f": {len(body)} bytes"
    text = client.plain(body[:400].decode("utf-8", "replace").replace("\n", " "))
    return f": {shortened(text, 80)}"
