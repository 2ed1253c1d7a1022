"""A timeline -> the story of a session: what became of each prompt, who listened, what went wrong.

Everything that draws a recording (``info``, ``show``, ``view``, a failing test's report) draws this
story, so that all of them say the same. Times are microseconds since the first record;
``Story.start_us`` says when that was. As JSON the story is ``comfyrec show --json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.timeline import Timeline
from comfyrec.timeline.facts import stated_version
from comfyrec.timeline.findings import Finding, Poll, Silence, find_polls, find_silences
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import Exchange, HttpMessage, Message, RecordedPrompt, Socket
from comfyrec.timeline.node_runs import NodeRun, NodeRuns
from comfyrec.timeline.order_violations import broken_rules
from comfyrec.timeline.prompts import history_entries, is_terminal

__all__ = [
    "STORY_VERSION",
    "Failure",
    "Finding",
    "Heard",
    "Listener",
    "PromptStory",
    "Refusal",
    "Story",
    "tell",
]

STORY_VERSION: Final = 1
"""Moves when a field of the JSON changes its meaning or goes; new fields do not move it."""

_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4


class Failure(msgspec.Struct, frozen=True):
    """What the server said of a node that failed, in its own words."""

    node_id: str
    class_type: str
    exception_type: str
    message: str
    traceback: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """An output was blocked: the prompt went on (protocol.md section 2.2)."""
        return self.exception_type == "ExecutionBlocked"

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.class_type, self.node_id)))
        return f"{where}: {self.exception_type}: {self.message.strip()}"


class Heard(msgspec.Struct, frozen=True):
    """What one socket was told about a prompt."""

    socket: int
    frames: int
    first_us: int


class PromptStory(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt, from its submission to its end."""

    number: int
    prompt_id: str
    client_id: str | None = None
    outcome: str = ""
    """``success``, ``error``, ``interrupted``, ``deleted``, ``""``: the recording does not say."""
    submitted_us: int | None = None
    """When its POST began; None: before the recording."""
    started_us: int | None = None
    ended_us: int | None = None
    """When its outcome was said (success before 0.0.3: when it left)."""
    left_us: int | None = None
    nodes: tuple[NodeRun, ...] = ()
    previews: int = 0
    outputs: dict[str, Any] = {}
    failure: Failure | None = None
    heard: tuple[Heard, ...] = ()
    """Which sockets were told about it; empty: nobody listened."""

    @property
    def queue_wait_us(self) -> int | None:
        """From the POST to the start; None where one of them is not known."""
        known = self.submitted_us is not None and self.started_us is not None
        return self.started_us - self.submitted_us if known else None  # type: ignore[operator]

    @property
    def run_us(self) -> int | None:
        """From the start to the end; None where one of them is not known."""
        known = self.ended_us is not None and self.started_us is not None
        return self.ended_us - self.started_us if known else None  # type: ignore[operator]

    @property
    def files(self) -> int:
        """How many files its outputs name."""
        return sum(len(run.files) for run in self.nodes)


class Refusal(msgspec.Struct, frozen=True):
    """A POST /prompt that was not accepted."""

    exchange: int
    t_us: int
    status: int | None
    """None: no answer was recorded."""
    words: str
    """The server's own, one line."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One socket: who it was, and how it went."""

    number: int
    conn: int
    name: str
    asked_for: str | None = None
    """The ``clientId`` of its address."""
    agent: str = ""
    """Its ``User-Agent``."""
    opened_us: int = 0
    closed_us: int | None = None
    """None: still open when the recording ended."""
    closed_by: str = ""
    """``client``, ``server`` or ``""``."""
    close_code: int | None = None
    clean: bool = True
    received: int = 0
    sent: int = 0
    received_bytes: int = 0
    previews: int = 0


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one recording."""

    version: int = STORY_VERSION
    start_us: int = 0
    """Unix time of the first record, microseconds."""
    duration_us: int = 0
    comfyui_version: str = ""
    """As the server said, or the oldest generation that fits what it did."""
    version_stated: bool = True
    """False: nobody asked the server, so it may also be a newer one."""
    server: dict[str, Any] = {}
    """What ``/system_stats`` told of it: os, python, pytorch, devices; ``{}``: nobody asked."""
    records: int = 0
    requests: int = 0
    prompts: tuple[PromptStory, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    sockets: tuple[Listener, ...] = ()
    polls: tuple[Poll, ...] = ()
    silences: tuple[Silence, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What is out of order, in order of time: rules that frames broke, frames to nobody, cuts."""

    @property
    def slowest(self) -> list[tuple[PromptStory, NodeRun]]:
        """Nodes that ran, slowest first."""
        ran = [(p, run) for p in self.prompts for run in p.nodes if run.duration_us is not None]
        return sorted(ran, key=lambda both: -(both[1].duration_us or 0))


def tell(timeline: Timeline, *, whole: bool = True) -> Story:
    """The story of a timeline.

    Args:
        timeline: of a recording, or of what is left of one.
        whole: False if the recording was cut off: a prompt without an end is fine then.
    """
    start = timeline.t
    prompts = _Prompts(timeline).tell()
    sockets = tuple(_listener(socket, start) for socket in timeline.sockets)
    silences = find_silences(timeline, _busy(prompts))
    findings = [
        *broken_rules(timeline, whole=whole),
        *_unheard(prompts, timeline),
        *_breaks(timeline),
        *(Finding("unreadable", "warns", None, sentence) for sentence in timeline.problems),
    ]
    findings.sort(key=lambda finding: timeline.t_end if finding.t_us is None else finding.t_us)
    return Story(
        start_us=start,
        duration_us=timeline.t_end - start,
        comfyui_version=timeline.comfyui_version,
        version_stated=stated_version(timeline.sessions, timeline.exchanges) is not None,
        server=_server(timeline.exchanges),
        records=timeline.records,
        requests=len(timeline.exchanges),
        prompts=prompts,
        refusals=tuple(_refusals(timeline.exchanges, start)),
        sockets=sockets,
        polls=find_polls(timeline),
        silences=silences,
        findings=tuple(findings),
    )


# --- prompts ---------------------------------------------------------------------------------


class _Prompts:
    """Every message of a recording, in order, given to the prompt that it is about."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._runs = [NodeRuns(prompt) for prompt in timeline.prompts]
        self._previews = [0] * len(timeline.prompts)
        self._ended: dict[int, int] = {}
        self._started: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._failures: dict[int, Failure] = {}

    def tell(self) -> tuple[PromptStory, ...]:
        about = {key: p.number for p in self._timeline.prompts for key in p.frames}
        by_id = {p.prompt_id: p.number for p in self._timeline.prompts}
        current: dict[int, int] = {}
        for socket, place, message in _messages(self._timeline.sockets):
            number = about.get((socket, place))
            if number is not None:
                current[socket] = number
                self._about(number, message, socket)
            elif message.side is Side.SERVER and isinstance(message.data, bytes):
                self._picture(message, current.get(socket), by_id)
        history = dict(history_entries(self._timeline.exchanges))
        return tuple(self._told(prompt, history) for prompt in self._timeline.prompts)

    def _about(self, number: int, message: Message, socket: int) -> None:
        runs, kind = self._runs[number], message.peek.type
        runs.take(message, socket)
        if kind == "execution_start":
            self._started.setdefault(number, message.t)
        elif kind == "executing" and message.peek.null_node:
            self._left.setdefault(number, message.t)
            self._ended.setdefault(number, message.t)
        elif kind == "execution_error":
            self._failed(number, failure_of(data_of(message.data)))
        if is_terminal(message):
            self._ended.setdefault(number, message.t)
            runs.end(message.t)

    def _failed(self, number: int, failure: Failure) -> None:
        """Keep what ended the prompt; else the first output that was blocked."""
        if number not in self._failures or not failure.blocked:
            self._failures[number] = failure

    def _picture(self, message: Message, current: int | None, by_id: dict[str, int]) -> None:
        assert isinstance(message.data, bytes), "only binary messages hold pictures"
        node: str | None = None
        if message.binary_type == _PREVIEW_WITH_METADATA:
            prompt_id, node = _whose(message.data)
            current = by_id.get(prompt_id, current)
        elif message.binary_type != _PREVIEW:
            return
        if current is not None:
            self._previews[current] += 1
            self._runs[current].preview(node)

    def _told(self, prompt: RecordedPrompt, history: dict[str, dict[str, Any]]) -> PromptStory:
        start, number = self._timeline.t, prompt.number
        posted = None
        if prompt.submitted is not None:
            posted = self._timeline.exchanges[prompt.submitted].request.t - start
        failure = self._failures.get(number)
        if failure is None and prompt.outcome == "error":
            failure = _failure_in(history.get(prompt.prompt_id, {}))
        return PromptStory(
            number=number,
            prompt_id=prompt.prompt_id,
            client_id=prompt.client_id,
            outcome=prompt.outcome,
            submitted_us=posted,
            started_us=_since(self._started.get(number), start),
            ended_us=_since(self._ended.get(number), start),
            left_us=_since(self._left.get(number), start),
            nodes=self._runs[number].done(start),
            previews=self._previews[number],
            outputs=prompt.outputs,
            failure=failure,
            heard=tuple(_heard(prompt, self._timeline.sockets, start)),
        )


def _messages(sockets: Sequence[Socket]) -> list[tuple[int, int, Message]]:
    found = [
        (socket.number, place, message)
        for socket in sockets
        for place, message in enumerate(socket.messages)
    ]
    found.sort(key=lambda entry: entry[2].at)
    return found


def _since(t: int | None, start: int) -> int | None:
    return None if t is None else t - start


def _whose(frame: bytes) -> tuple[str, str | None]:
    """(prompt_id, node id) of a picture with metadata (protocol.md section 2.4)."""
    size = int.from_bytes(frame[4:8], "big")
    metadata = _metadata(frame[8 : 8 + size])
    node = metadata.get("node_id")
    return str(metadata.get("prompt_id", "")), None if node is None else str(node)


def _metadata(text: bytes) -> dict[str, Any]:
    try:
        metadata = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _heard(prompt: RecordedPrompt, sockets: Sequence[Socket], start: int) -> Iterator[Heard]:
    frames: dict[int, list[int]] = {}
    for socket, place in prompt.frames:
        frames.setdefault(socket, []).append(sockets[socket].messages[place].t)
    for socket, times in sorted(frames.items()):
        yield Heard(socket, len(times), min(times) - start)


def failure_of(data: Any) -> Failure:
    """What an ``execution_error`` says; fields that it lacks are empty."""
    said = data if isinstance(data, dict) else {}
    lines = said.get("traceback")
    return Failure(
        node_id=str(said.get("node_id", "")),
        class_type=str(said.get("node_type", "")),
        exception_type=str(said.get("exception_type", "")),
        message=str(said.get("exception_message", "")),
        traceback=tuple(map(str, lines)) if isinstance(lines, list) else (),
    )


def _failure_in(entry: dict[str, Any]) -> Failure | None:
    """The error that a history entry tells of, where no frame did."""
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    for item in messages if isinstance(messages, list) else ():
        if isinstance(item, list) and len(item) == 2 and item[0] == "execution_error":
            return failure_of(item[1])
    return None


# --- the rest --------------------------------------------------------------------------------


def _listener(socket: Socket, start: int) -> Listener:
    received, closing = socket.received, socket.closing
    opened = socket.upgrade.response.t if socket.upgrade.response else socket.upgrade.request.t
    return Listener(
        number=socket.number,
        conn=socket.conn,
        name=socket.name,
        asked_for=socket.client_id,
        agent=socket.upgrade.request.header("user-agent"),
        opened_us=opened - start,
        closed_us=None if closing is None else closing.t - start,
        closed_by="" if closing is None else closing.by.name.lower(),
        close_code=None if closing is None else closing.code,
        clean=closing is None or closing.clean,
        received=len(received),
        sent=len(socket.messages) - len(received),
        received_bytes=sum(len(message.data) for message in received),
        previews=sum(m.binary_type in (_PREVIEW, _PREVIEW_WITH_METADATA) for m in received),
    )


def _server(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    for exchange in exchanges:
        if exchange.path == "/system_stats" and isinstance(exchange.response_json, dict):
            system = exchange.response_json.get("system")
            told = dict(system) if isinstance(system, dict) else {}
            devices = exchange.response_json.get("devices")
            names = [d.get("name") for d in devices or () if isinstance(d, dict)]
            return {**told, "devices": names}
    return {}


def _refusals(exchanges: Sequence[Exchange], start: int) -> Iterator[Refusal]:
    for exchange in exchanges:
        if exchange.method == "POST" and exchange.path == "/prompt" and exchange.status != 200:
            words = refusal_in_words(exchange)
            yield Refusal(exchange.number, exchange.request.t - start, exchange.status, words)


def refusal_in_words(exchange: Exchange) -> str:
    """Why a prompt was refused, as the server said it (protocol.md section 6.1), in one line."""
    answer = exchange.response_json
    if not isinstance(answer, dict):
        return " ".join(exchange.response_body[:200].decode("utf-8", "replace").split())
    error = answer.get("error")
    first = error.get("message", "") if isinstance(error, dict) else error or ""
    more = error.get("details", "") if isinstance(error, dict) else ""
    node_errors = answer.get("node_errors")
    by_node = node_errors if isinstance(node_errors, dict) else {}
    parts = [str(first), *([str(more)] if more and not by_node else []), *_by_node(by_node)]
    return "; ".join(" ".join(part.split()) for part in parts if part)


def _by_node(by_node: dict[str, Any]) -> Iterator[str]:
    for node_id, said in by_node.items():
        errors = said.get("errors") if isinstance(said, dict) else None
        kind = said.get("class_type", "") if isinstance(said, dict) else ""
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                yield f"{kind} {node_id}: {error.get('message', '')}: {error.get('details', '')}"


def _busy(prompts: Sequence[PromptStory]) -> list[tuple[int, int, str]]:
    """(from, to, what ran): every node and every wait, for silences to say what they fell into."""
    found = []
    for prompt in prompts:
        short = prompt.prompt_id[:8]
        found += [
            (run.t, run.t_end if run.t_end is not None else 1 << 62, f"{run.name} ran")
            for run in prompt.nodes
            if run.t is not None
        ]
        if prompt.submitted_us is not None:
            until = prompt.started_us if prompt.started_us is not None else prompt.ended_us
            found.append((prompt.submitted_us, until or 1 << 62, f"prompt {short} waited"))
    return found


def _unheard(prompts: Sequence[PromptStory], timeline: Timeline) -> Iterator[Finding]:
    """Prompts whose client was not listening when it was spoken to."""
    by_name: dict[str | None, list[Socket]] = {}
    for socket in timeline.sockets:
        for name in {socket.sid, socket.client_id}:
            by_name.setdefault(name, []).append(socket)
    for prompt in prompts:
        if prompt.submitted_us is None or prompt.outcome == "deleted" or not prompt.client_id:
            continue
        own = by_name.get(prompt.client_id, [])
        submitted = timeline.prompts[prompt.number].submitted
        assert submitted is not None, "it has a time, so it has an exchange"
        posted = timeline.exchanges[submitted].request
        if any(s.upgrade.request.at < posted.at and _open_at(s, posted.at) for s in own):
            continue
        sentence = f"prompt {prompt.prompt_id[:8]} {_how_unheard(prompt, own, posted)}"
        yield Finding("unheard", "warns", prompt.submitted_us, sentence, prompt=prompt.number)


def _how_unheard(prompt: PromptStory, own: Sequence[Socket], posted: HttpMessage) -> str:
    if not own:
        return f"named client {prompt.client_id}, which had no socket"
    if any(s.upgrade.request.at < posted.at for s in own):
        return "was posted after its socket had closed"
    late_us = min(s.upgrade.request.t for s in own) - posted.t
    later = f": that came {late_us / 1000:.1f} ms later" if late_us else ""
    return f"was posted before its socket was open{later}"


def _open_at(socket: Socket, at: int) -> bool:
    return socket.closing is None or socket.closing.at > at


def _breaks(timeline: Timeline) -> Iterator[Finding]:
    """Connections that ended without a close frame, and requests that were never answered."""
    for socket in timeline.sockets:
        if socket.closing is not None and not socket.closing.clean:
            who = "client" if socket.closing.by is Side.CLIENT else "server"
            sentence = f"socket {socket.number} ({socket.name}) was cut by the {who}, unclosed"
            yield Finding(
                "cut", "warns", socket.closing.t - timeline.t, sentence, socket=socket.number
            )
    for exchange in timeline.exchanges:
        if exchange.cut_by is not None and exchange.status is None:
            sentence = f"{exchange.method} {exchange.path} got no answer"
            t_us = exchange.request.t - timeline.t
            yield Finding("unanswered", "warns", t_us, sentence, exchange=exchange.number)
