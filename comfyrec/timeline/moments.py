"""A timeline -> what happened, moment by moment, each in a few words.

One moment is one thing that a person would point at: a request, its answer, a socket that opens or
closes, a message. The terminal, the page and the exports list these.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.errors import DecodeError
from comfyrec.events import decode_binary
from comfyrec.events.outputs import files_in
from comfyrec.http.request import loads_or_none
from comfyrec.timeline import Timeline
from comfyrec.timeline.jobs import job_place, made_job
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import (
    BodyMessage,
    Closing,
    Exchange,
    Message,
    Ping,
    RecordedPrompt,
    Socket,
)
from comfyrec.timeline.node_runs import class_of
from comfyrec.timeline.prompt_story import failure_of
from comfyrec.timeline.story import refusal_in_words
from comfyrec.wording import plural, shortened

__all__ = [
    "PREVIEWS",
    "Moment",
    "MomentWords",
    "answer_moment",
    "binary_name",
    "closed_moment",
    "cut_moment",
    "message_moment",
    "moments_of",
    "opened_moment",
    "ping_moment",
    "request_moment",
    "said_moment",
]

PREVIEWS: Final = frozenset({"preview", "preview with metadata"})
"""Types of moments that hold a picture."""


class Moment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One thing that happened."""

    at: int
    """Place of its record in the recording."""
    t_us: int
    """Microseconds since the first record."""
    kind: str
    """``request``, ``answer``, ``event``, ``cut``, ``opened``, ``message``, ``ping``, ``closed``.
    An ``event`` is a message of an answer that is a row of them."""
    type: str
    """Of a message or event its type; of HTTP the method, or the status; else the kind."""
    side: Side
    """Who did it."""
    conn: int
    socket: int | None = None
    exchange: int | None = None
    place: int | None = None
    """Of a message: its place in the messages of its socket."""
    prompt: int | None = None
    node: str | None = None
    words: str = ""
    size: int = 0
    """Bytes of the body or message."""
    severity: str = ""
    """``bad``: an error of the server, or a cut; ``good``: a success; else ``""``."""


def moments_of(timeline: Timeline) -> list[Moment]:
    """Every moment of a recording, in the order of its records."""
    runs = timeline.all_prompts
    posted = {p.submitted: p.number for p in runs if p.submitted is not None}
    about = {key: p.number for p in runs for key in p.frames}
    jobs = {p.prompt_id: p.number for p in timeline.jobs}
    found = [
        *(m for one in timeline.exchanges for m in _http(one, posted, jobs, timeline.t)),
        *(m for socket in timeline.sockets for m in _socket(socket, about, timeline)),
    ]
    found.sort(key=lambda moment: moment.at)
    return found


# --- HTTP ------------------------------------------------------------------------------------


def _http(
    exchange: Exchange, posted: Mapping[int, int], jobs: Mapping[str, int], start: int
) -> Iterator[Moment]:
    prompt = posted.get(exchange.number)
    upgraded = exchange.status == 101
    if not upgraded and exchange.request.start:
        yield request_moment(exchange, prompt, start)
    if exchange.response is not None:
        place = job_place(exchange.path) if exchange.response.said else None
        about = jobs.get(place.job_id) if place is not None and place.part == "events" else None
        for said in exchange.response.said:
            yield said_moment(said, exchange.conn, exchange.number, start, prompt=about)
    if not upgraded and (answer := answer_moment(exchange, prompt, start)) is not None:
        yield answer
    if exchange.cut_by is not None:
        yield cut_moment(exchange, start)


def request_moment(exchange: Exchange, prompt: int | None, start: int) -> Moment:
    """A request was made."""
    return Moment(
        at=exchange.request.at,
        t_us=exchange.request.t - start,
        kind="request",
        type=exchange.method,
        side=Side.CLIENT,
        conn=exchange.conn,
        exchange=exchange.number,
        prompt=prompt,
        words=exchange.target,
        size=len(exchange.request.body),
    )


def answer_moment(exchange: Exchange, prompt: int | None, start: int) -> Moment | None:
    """It was answered; None: it was not."""
    response = exchange.response
    if response is None:
        return None
    return Moment(
        at=response.at,
        t_us=response.t_end - start,
        kind="answer",
        type=str(exchange.status),
        side=Side.SERVER,
        conn=exchange.conn,
        exchange=exchange.number,
        prompt=prompt,
        words=_answer_in_words(exchange),
        size=len(response.body) + response.omitted_bytes,
        severity="bad" if (exchange.status or 0) >= 400 or not response.complete else "",
    )


def said_moment(
    said: BodyMessage, conn: int, exchange: int, start: int, *, prompt: int | None = None
) -> Moment:
    """A message of an answer that is a row of them; ``prompt`` is the one that it is about."""
    message = said.message
    return Moment(
        at=said.at,
        t_us=said.t - start,
        kind="event",
        type=message.event or "line",
        side=Side.SERVER,
        conn=conn,
        exchange=exchange,
        prompt=prompt,
        words=_data_in_words(message.data),
        size=len(message.data.encode()),
    )


def _data_in_words(data: str) -> str:
    """What an object says of itself, ``name=value`` each, what is long or nested cut short."""
    value = loads_or_none(data)
    if not isinstance(value, dict):
        return shortened(data, _WORDS_MAX)
    pairs = (
        f"{name}={shortened(item if isinstance(item, str) else json.dumps(item), _VALUE_MAX)}"
        for name, item in value.items()
    )
    return shortened(" ".join(pairs), _WORDS_MAX)


_WORDS_MAX: Final = 200
_VALUE_MAX: Final = 60


def cut_moment(exchange: Exchange, start: int) -> Moment:
    """Its connection ended before it was answered, or in the middle of the answer."""
    assert exchange.cut_by is not None, "only what was cut has this moment"
    missing = "the answer" if exchange.status is None else "the end of the answer"
    return Moment(
        at=exchange.cut_at,
        t_us=exchange.cut_t - start,
        kind="cut",
        type="cut",
        side=exchange.cut_by,
        conn=exchange.conn,
        exchange=exchange.number,
        words=f"{exchange.method} {exchange.path}: the connection ended before {missing}",
        severity="bad",
    )


def _answer_in_words(exchange: Exchange) -> str:
    asked = f"{exchange.method} {exchange.path}"
    if exchange.method == "POST" and exchange.path == "/prompt":
        if exchange.status != 200:
            return f"{asked}: refused: {refusal_in_words(exchange)}"
        answer = exchange.response_json
        if isinstance(answer, dict):
            return f"{asked}: prompt {answer.get('prompt_id')} queued"
    elif (job := made_job(exchange)) is not None:
        return f"{asked}: job {job['id']} queued"
    return asked


# --- sockets ---------------------------------------------------------------------------------


def _socket(
    socket: Socket, about: Mapping[tuple[int, int], int], timeline: Timeline
) -> Iterator[Moment]:
    start = timeline.t
    yield opened_moment(socket, start)
    words = MomentWords(dict(enumerate(timeline.all_prompts)))
    for place, message in enumerate(socket.messages):
        prompt = about.get((socket.number, place))
        yield message_moment(socket, place, message, prompt, words, start)
    for ping in socket.pings:
        yield ping_moment(socket, ping, start)
    if socket.closing is not None:
        yield closed_moment(socket, socket.closing, start)


def opened_moment(socket: Socket, start: int) -> Moment:
    """A socket was accepted."""
    opened = socket.upgrade.response or socket.upgrade.request
    return Moment(
        at=opened.at,
        t_us=opened.t - start,
        kind="opened",
        type="opened",
        side=Side.CLIENT,
        conn=socket.conn,
        socket=socket.number,
        words=f"{socket.upgrade.target} as {socket.name}",
    )


def ping_moment(socket: Socket, ping: Ping, start: int) -> Moment:
    """A ping or a pong."""
    return Moment(
        at=ping.at,
        t_us=ping.t - start,
        kind="ping",
        type="pong" if ping.pong else "ping",
        side=ping.side,
        conn=socket.conn,
        socket=socket.number,
        size=len(ping.payload),
    )


def closed_moment(socket: Socket, closing: Closing, start: int) -> Moment:
    """A socket ended."""
    code = "without a code" if closing.code is None else f"with {closing.code} {closing.reason}"
    words = code.rstrip() if closing.clean else "cut: the connection ended without a close frame"
    return Moment(
        at=closing.at,
        t_us=closing.t - start,
        kind="closed",
        type="closed",
        side=closing.by,
        conn=socket.conn,
        socket=socket.number,
        words=words,
        severity="" if closing.clean else "bad",
    )


def message_moment(
    socket: Socket,
    place: int,
    message: Message,
    prompt: int | None,
    words: MomentWords,
    start: int,
) -> Moment:
    """A message; ``words`` are those of its socket, which has been told all messages before it."""
    kind, node, said = words.of(message, prompt)
    return Moment(
        at=message.at,
        t_us=message.t - start,
        kind="message",
        type=kind,
        side=message.side,
        conn=socket.conn,
        socket=socket.number,
        place=place,
        prompt=prompt if prompt is not None else words.prompt,
        node=node,
        words=said,
        size=len(message.data),
        severity=_SEVERITY.get(kind, ""),
    )


_SEVERITY: Final = {
    "execution_error": "bad",
    "execution_interrupted": "bad",
    "execution_success": "good",
}


class MomentWords:
    """Messages of one socket in words; a ``progress_state`` is told by what it changed.

    Args:
        prompts: by number; may grow.
    """

    def __init__(self, prompts: Mapping[int, RecordedPrompt]) -> None:
        self._prompts = prompts
        self._nodes: dict[str, dict[str, Any]] = {}
        self.prompt: int | None = None
        """The prompt that was spoken of last: pictures without metadata belong to it."""

    def of(self, message: Message, prompt: int | None) -> tuple[str, str | None, str]:
        """(type, node, what it says)."""
        if message.side is Side.CLIENT:
            self.prompt = None
            return _from_client(message)
        if isinstance(message.data, bytes):
            return _binary(message.data)
        told_of = None if prompt is None else self._prompts.get(prompt)
        if prompt != self.prompt and prompt is not None:
            self._nodes = {}
        if message.peek.type not in ("", "status"):
            self.prompt = prompt
        kind = message.peek.type or "text"
        tell = _TOLD.get(kind)
        if kind == "status":
            self.prompt = None if message.peek.queue_remaining == 0 else self.prompt
            return kind, None, _status(message)
        if kind == "progress_state":
            return kind, *self._state(message, told_of)
        data = data_of(message.data)
        data = data if isinstance(data, dict) else {}
        node = message.peek.node
        if node is None and data.get("node_id") is not None:
            node = str(data["node_id"])
        return kind, node, tell(data, node, told_of) if tell is not None else ""

    def _state(self, message: Message, prompt: RecordedPrompt | None) -> tuple[str | None, str]:
        data = data_of(message.data)
        nodes = data.get("nodes") if isinstance(data, dict) else None
        now = {str(k): v for k, v in nodes.items() if isinstance(v, dict)} if nodes else {}
        changed = [node for node, entry in now.items() if self._nodes.get(node) != entry]
        self._nodes = now
        said = [_step(node, now[node], prompt) for node in changed]
        return (changed[0] if len(changed) == 1 else None), ", ".join(said) or "nothing new"


def _name(node: str | None, prompt: RecordedPrompt | None) -> str:
    kind = class_of(prompt, node) if prompt is not None and node is not None else ""
    return f"{kind} {node}".strip()


def _step(node: str, entry: dict[str, Any], prompt: RecordedPrompt | None) -> str:
    if entry.get("state") == "finished":
        return f"{_name(node, prompt)} finished"
    steps = f" {entry.get('value')}/{entry.get('max')}" if entry.get("max") != 1 else ""
    activity = f" {entry['activity']}" if entry.get("activity") else ""
    return f"{_name(node, prompt)} {entry.get('state')}{steps}{activity}"


def _status(message: Message) -> str:
    peek = message.peek
    sid = f", you are {peek.sid}" if peek.sid is not None else ""
    return f"{peek.queue_remaining} in the queue{sid}"


def _from_client(message: Message) -> tuple[str, str | None, str]:
    if isinstance(message.data, bytes):
        return "binary", None, ""
    parsed = data_of(message.data)
    kind = "feature_flags" if '"feature_flags"' in message.data else "text"
    said = msgspec.json.encode(parsed).decode() if parsed is not None else message.data
    return kind, None, said


def _binary(frame: bytes) -> tuple[str, str | None, str]:
    try:
        event = decode_binary(frame)
    except DecodeError as why:
        return "binary", None, str(why)
    metadata = getattr(event, "metadata", None)
    node = getattr(metadata, "node_id", getattr(event, "node", None))
    text = getattr(event, "text", None) or getattr(event, "image_type", None) or ""
    return binary_name(frame), None if node is None else str(node), str(text)


_BINARY_NAMES: Final = {
    1: "preview",
    3: "text of node",
    4: "preview with metadata",
}


def binary_name(frame: bytes) -> str:
    """What a binary message is called: ``preview``, ``text of node``, ``binary 77``."""
    kind = int.from_bytes(frame[:4], "big")
    return _BINARY_NAMES.get(kind, f"binary {kind}") if len(frame) >= 4 else "binary"


# --- one line for each type of message ---------------------------------------------------------

Said = Callable[[dict[str, Any], str | None, RecordedPrompt | None], str]


def _start(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    return f"prompt {data.get('prompt_id')}"


def _cached(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    nodes = data.get("nodes")
    names = [_name(str(n), prompt) for n in nodes] if isinstance(nodes, list) else []
    return ", ".join(names) or "nothing is cached"


def _executing(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    return _name(node, prompt) if node is not None else "none: the prompt has left the executor"


def _progress(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    return f"{_name(node, prompt)} {data.get('value')}/{data.get('max')}".strip()


def _executed(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    files = [file.filename for file in files_in(data.get("output"))]
    shown = ", ".join(files) if len(files) < 4 else plural(len(files), "file")
    return " ".join(filter(None, (_name(node, prompt), shown)))


def _error(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    return str(failure_of(data))


def _interrupted(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    return f"in {data.get('node_type', '')} {node or ''}".strip()


def _flags(data: dict[str, Any], node: str | None, prompt: RecordedPrompt | None) -> str:
    return ", ".join(map(str, data))


_TOLD: Final[dict[str, Said]] = {
    "execution_start": _start,
    "execution_cached": _cached,
    "executing": _executing,
    "progress": _progress,
    "executed": _executed,
    "execution_success": _start,
    "execution_error": _error,
    "execution_interrupted": _interrupted,
    "feature_flags": _flags,
}
