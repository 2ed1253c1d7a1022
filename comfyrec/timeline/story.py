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
from comfyrec.timeline.findings import Finding, Poll, Silence, find_polls, find_silences
from comfyrec.timeline.jobs import is_submission
from comfyrec.timeline.model import Closing, Exchange, Message, Socket
from comfyrec.timeline.node_runs import NodeRun
from comfyrec.timeline.order_violations import broken_rules
from comfyrec.timeline.prompt_story import (
    PICTURES,
    Failure,
    Heard,
    PromptStory,
    PromptTelling,
    picture_of,
)
from comfyrec.timeline.prompts import ends_of

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


class Refusal(msgspec.Struct, frozen=True):
    """A prompt, or a job of Comfy API v2, that was not accepted."""

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
    events: int = 0
    """Server-sent events, and JSON in lines, of all answers together."""
    prompts: tuple[PromptStory, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    sockets: tuple[Listener, ...] = ()
    polls: tuple[Poll, ...] = ()
    silences: tuple[Silence, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What is out of order, in order of time: rules that frames broke, frames to nobody, cuts."""

    @property
    def version_in_words(self) -> str:
        """``0.27.0``, or ``0.3.45 or newer``: nobody asked the server."""
        return self.comfyui_version if self.version_stated else f"{self.comfyui_version} or newer"

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
    prompts = (*_prompts(timeline), *(story for _, story in timeline.jobs_told))
    sockets = tuple(listener_of(socket, start) for socket in timeline.sockets)
    silences = find_silences(
        timeline, _busy(prompts), idle=all(prompt.outcome for prompt in prompts)
    )
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
        version_stated=timeline.version_stated,
        server=_server(timeline.exchanges),
        records=timeline.records,
        requests=len(timeline.exchanges),
        events=sum(len(e.response.said) for e in timeline.exchanges if e.response is not None),
        prompts=prompts,
        refusals=tuple(_refusals(timeline.exchanges, start)),
        sockets=sockets,
        polls=find_polls(timeline),
        silences=silences,
        findings=tuple(findings),
    )


# --- prompts ---------------------------------------------------------------------------------


def _prompts(timeline: Timeline) -> tuple[PromptStory, ...]:
    """Every message of a recording, in order, given to the prompt that it is about."""
    told = [PromptTelling(prompt) for prompt in timeline.prompts]
    about = {key: p.number for p in timeline.prompts for key in p.frames}
    by_id = {p.prompt_id: p.number for p in timeline.prompts}
    current: dict[int, int] = {}
    for socket, place, message in _messages(timeline.sockets):
        number = about.get((socket, place))
        if number is not None:
            current[socket] = number
            told[number].about(message, socket)
        elif message.side is Side.SERVER and isinstance(message.data, bytes):
            whose, node = picture_of(message)
            found = by_id.get(whose, current.get(socket)) if whose is not None else None
            if found is not None:
                told[found].picture(node)
    history = dict(told for exchange in timeline.exchanges for told in ends_of(exchange))
    stories = []
    for one, prompt in zip(told, timeline.prompts, strict=True):
        posted = None
        if prompt.submitted is not None:
            posted = timeline.exchanges[prompt.submitted].request.t
        stories.append(
            one.told(prompt, timeline.t, posted=posted, history=history.get(prompt.prompt_id, {}))
        )
    return tuple(stories)


def _messages(sockets: Sequence[Socket]) -> list[tuple[int, int, Message]]:
    found = [
        (socket.number, place, message)
        for socket in sockets
        for place, message in enumerate(socket.messages)
    ]
    found.sort(key=lambda entry: entry[2].at)
    return found


# --- the rest --------------------------------------------------------------------------------


def listener_of(socket: Socket, start: int) -> Listener:
    """What one socket was, as far as it went."""
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
        previews=sum(m.binary_type in PICTURES for m in received),
    )


def _server(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    told = (server_of(exchange) for exchange in exchanges)
    return next((facts for facts in told if facts), {})


def server_of(exchange: Exchange) -> dict[str, Any]:
    """What an answer of GET /system_stats tells of the server; ``{}`` for any other."""
    answer = exchange.response_json if exchange.path == "/system_stats" else None
    if not isinstance(answer, dict):
        return {}
    system, devices = answer.get("system"), answer.get("devices")
    told = dict(system) if isinstance(system, dict) else {}
    listed = devices if isinstance(devices, list) else ()
    return {**told, "devices": [d.get("name") for d in listed if isinstance(d, dict)]}


def _refusals(exchanges: Sequence[Exchange], start: int) -> Iterator[Refusal]:
    for exchange in exchanges:
        refused = refusal_of(exchange, start)
        if refused is not None:
            yield refused


def refusal_of(exchange: Exchange, start: int) -> Refusal | None:
    """What a prompt or job was refused with; None for any other exchange."""
    if exchange.method != "POST" or exchange.status in (200, 201):
        return None
    if exchange.path != "/prompt" and not is_submission(exchange):
        return None
    words = refusal_in_words(exchange)
    return Refusal(exchange.number, exchange.request.t - start, exchange.status, words)


def refusal_in_words(exchange: Exchange) -> str:
    """Why a prompt was refused, as the server said it (protocol.md section 6.1), in one line."""
    answer = exchange.response_json
    if not isinstance(answer, dict):
        return " ".join(exchange.response_body[:200].decode("utf-8", "replace").split())
    error = answer.get("error")
    first = error.get("message", "") if isinstance(error, dict) else error or ""
    more = error.get("details", "") if isinstance(error, dict) else ""
    node_errors = answer.get("node_errors")
    if isinstance(more, dict):  # Comfy API v2 has what ComfyUI said in there
        node_errors, more = more.get("node_errors"), ""
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
        asked = [(s.upgrade.request.at, s.upgrade.request.t) for s in own]
        yield unheard(prompt, asked, (posted.at, posted.t))


def unheard(
    prompt: PromptStory, own: Sequence[tuple[int, int]], posted: tuple[int, int]
) -> Finding:
    """The finding that a prompt's client did not listen.

    Args:
        prompt: whose client it is.
        own: (place, time) of the upgrade of each of its sockets.
        posted: (place, time) of its POST.
    """
    sentence = f"prompt {prompt.prompt_id[:8]} {_how_unheard(prompt, own, posted)}"
    return Finding("unheard", "warns", prompt.submitted_us, sentence, prompt=prompt.number)


def _how_unheard(
    prompt: PromptStory, own: Sequence[tuple[int, int]], posted: tuple[int, int]
) -> str:
    if not own:
        return f"named client {prompt.client_id}, which had no socket"
    if any(at < posted[0] for at, _ in own):
        return "was posted after its socket had closed"
    late_us = min(t for _, t in own) - posted[1]
    later = f": that came {late_us / 1000:.1f} ms later" if late_us else ""
    return f"was posted before its socket was open{later}"


def _open_at(socket: Socket, at: int) -> bool:
    return socket.closing is None or socket.closing.at > at


def _breaks(timeline: Timeline) -> Iterator[Finding]:
    """Connections that ended without a close frame, and requests that were never answered."""
    for socket in timeline.sockets:
        if socket.closing is not None and not socket.closing.clean:
            yield cut(socket, socket.closing, timeline.t)
    for exchange in timeline.exchanges:
        if exchange.cut_by is not None and exchange.status is None:
            yield unanswered(exchange, timeline.t)


def cut(socket: Socket, closing: Closing, start: int) -> Finding:
    """The finding that a socket ended without a close frame."""
    who = "client" if closing.by is Side.CLIENT else "server"
    sentence = f"socket {socket.number} ({socket.name}) was cut by the {who}, unclosed"
    return Finding("cut", "warns", closing.t - start, sentence, socket=socket.number)


def unanswered(exchange: Exchange, start: int) -> Finding:
    """The finding that a request got no answer."""
    sentence = f"{exchange.method} {exchange.path} got no answer"
    t_us = exchange.request.t - start
    return Finding("unanswered", "warns", t_us, sentence, exchange=exchange.number)
