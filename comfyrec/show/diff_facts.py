"""A timeline -> what it shows of its server, apart from what its client happened to do.

Two servers can be compared where they were in one situation: asked the same, or given a prompt of
the same node classes that was cached alike and ended alike. What only one of them was asked tells
of the clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.show.json_shape import Shape, add_shape, normalized, words_in
from comfyrec.timeline import Timeline
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import Exchange, Message, RecordedPrompt, Socket
from comfyrec.timeline.moments import binary_name
from comfyrec.timeline.node_runs import class_of
from comfyrec.timeline.prompts import history_entries, is_terminal
from comfyrec.timeline.story import refusal_of

__all__ = ["Facets", "Seen", "facets_of"]

_ID_SEGMENT: Final = re.compile(r"^(?=.*\d)[\w.-]{8,}$")
_BY_NAME: Final = ("userdata", "models", "view_metadata", "embeddings", "extensions", "object_info")
"""Routes whose next segment names something."""

NULL_EXECUTING: Final = "executing with a null node"
"""Told apart from other frames of its type: many clients wait for it."""
# They come whenever something else happens, so they tell nothing of the order of a prompt.
_ASIDE: Final = frozenset({"status", "feature_flags", "logs", "text", ""})


class Seen(msgspec.Struct):
    """What a prompt in one situation has shown."""

    events: set[str]
    """Types of events that its own client got."""
    order: list[str]
    """The same, in the order of their first coming."""
    nodes: list[str]
    """Classes in the order in which they were executed."""
    history: set[str]
    """``outputs filled`` or ``outputs empty``, as the history had it."""


class Answered(msgspec.Struct):
    """What came back for one request, each time that it was made."""

    statuses: set[int] = set()
    words: dict[str, set[str]] = {}
    """Path in the answer -> the server's words there."""


class Facets(msgspec.Struct):
    """What one recording shows of its server."""

    version: str = ""
    events: dict[str, Shape] = {}
    """Event type -> shape of its data."""
    routes: dict[str, set[int]] = {}
    """Method and path, ids left out -> statuses."""
    answers: dict[str, Shape] = {}
    """The same -> shape of JSON bodies of good answers."""
    refused: dict[str, Shape] = {}
    """The same -> shape of JSON bodies of other answers."""
    prompts_refused: list[str] = []
    """Why, in the server's words."""
    asked: dict[str, Answered] = {}
    """A whole request, normalized -> its answers."""
    situations: dict[str, Seen] = {}
    outcomes: dict[tuple[str, ...], dict[str, str]] = {}
    """Classes of a workflow -> outcomes of its prompts, each with the server's words for the
    first such end."""


def facets_of(timeline: Timeline) -> Facets:
    """All facets of a recording."""
    facets = Facets(version=timeline.comfyui_version)
    for socket in timeline.sockets:
        for message in socket.received:
            _event(facets, message)
    for exchange in timeline.exchanges:
        if exchange.status is not None:
            _exchange(facets, exchange, exchange.status)
    refusals = (refusal_of(exchange, timeline.t) for exchange in timeline.exchanges)
    facets.prompts_refused = [one.words for one in refusals if one is not None]
    history = dict(history_entries(timeline.exchanges))
    for prompt in timeline.prompts:
        _prompt(facets, prompt, timeline.sockets, history)
    return facets


def _event(facets: Facets, message: Message) -> None:
    if isinstance(message.data, bytes):
        facets.events.setdefault(binary_name(message.data), {})
        return
    shape = facets.events.setdefault(message.peek.type, {})
    add_shape(shape, data_of(message.data))


# --- HTTP ------------------------------------------------------------------------------------


def _exchange(facets: Facets, exchange: Exchange, status: int) -> None:
    route = f"{exchange.method} {_without_ids(exchange.path)}"
    facets.routes.setdefault(route, set()).add(status)
    body = exchange.response_json
    if body is None or route.startswith("GET /userdata"):
        return
    shapes = facets.answers if status < 400 else facets.refused
    add_shape(shapes.setdefault(route, {}), body)
    answered = facets.asked.setdefault(_whole(exchange), Answered())
    answered.statuses.add(status)
    for path, word in words_in(body):
        answered.words.setdefault(path, set()).add(word)


def _without_ids(path: str) -> str:
    before, *parts = normalized(path).split("/")
    kept = [before]
    for number, part in enumerate(parts):
        named = number > 0 and parts[number - 1] in _BY_NAME
        kept.append("{name}" if named else "{id}" if _ID_SEGMENT.match(part) else part)
    return "/".join(kept)


def _whole(exchange: Exchange) -> str:
    body = exchange.request.body[:4096].decode("utf-8", "replace")
    return f"{exchange.method} {normalized(exchange.target)} {normalized(body)}"


# --- prompts ---------------------------------------------------------------------------------


def _prompt(
    facets: Facets,
    prompt: RecordedPrompt,
    sockets: tuple[Socket, ...],
    history: dict[str, dict[str, Any]],
) -> None:
    if not prompt.graph:
        return  # nothing is known of it
    classes = tuple(_classes(prompt))
    facets.outcomes.setdefault(classes, {}).setdefault(prompt.outcome, _why(prompt, sockets))
    if prompt.started_at is None and prompt.client_id:
        return  # its beginning was not heard
    own = [(s, m) for s, m in _told(prompt, sockets) if not prompt.client_id or _is_of(s, prompt)]
    previews = _previews(prompt, sockets)
    seen = Seen(set(previews), [], [], set())
    for _, message in own:
        kind = message.peek.type
        seen.events.add(kind)
        if kind not in seen.order and kind not in _ASIDE:
            seen.order.append(kind)
        if kind == "executing" and message.peek.node is not None:
            seen.nodes.append(class_of(prompt, message.peek.node))
        elif kind == "executing":
            seen.events.add(NULL_EXECUTING)
    entry = history.get(prompt.prompt_id)
    if entry is not None:
        seen.history.add("outputs filled" if entry.get("outputs") else "outputs empty")
    situation = _situation(prompt, sockets, _cached(prompt, entry or {}))
    known = facets.situations.setdefault(situation, seen)
    known.events |= seen.events
    known.history |= seen.history


def _cached(prompt: RecordedPrompt, entry: dict[str, Any]) -> int:
    """How many nodes were cached; the history tells where nobody was told."""
    if prompt.cached:
        return len(prompt.cached)
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    for item in messages if isinstance(messages, list) else ():
        if isinstance(item, list) and item[:1] == ["execution_cached"] and len(item) == 2:
            nodes = item[1].get("nodes") if isinstance(item[1], dict) else None
            return len(nodes) if isinstance(nodes, list) else 0
    return 0


def _situation(prompt: RecordedPrompt, sockets: tuple[Socket, ...], cached: int) -> str:
    executed = any(m.peek.type == "executing" and m.peek.node for _, m in _told(prompt, sockets))
    share = "nothing cached" if not cached else "partly cached" if executed else "all cached"
    client = "with a client id" if prompt.client_id else "without a client id"
    flags = ", flags announced" if _announces(prompt, sockets) else ""
    what = "any nodes" if share == "all cached" else " ".join(_classes(prompt))
    return f"{what}; {share}, {client}{flags}, {prompt.outcome or 'no end'}"


def _classes(prompt: RecordedPrompt) -> list[str]:
    return sorted({class_of(prompt, node) or "?" for node in prompt.graph})


def _why(prompt: RecordedPrompt, sockets: tuple[Socket, ...]) -> str:
    """What the server said of an error."""
    for _, message in _told(prompt, sockets):
        if message.peek.type == "execution_error" and is_terminal(message):
            data = data_of(message.data)
            return str(data.get("exception_message") or "").strip() if data else ""
    return ""


def _announces(prompt: RecordedPrompt, sockets: tuple[Socket, ...]) -> bool:
    """Whether its client said what it supports, so that the server may send it more."""
    return any(
        message.side is Side.CLIENT and '"feature_flags"' in str(message.data)
        for socket in sockets
        if _is_of(socket, prompt)
        for message in socket.messages[:8]
    )


def _is_of(socket: Socket, prompt: RecordedPrompt) -> bool:
    return prompt.client_id in (socket.sid, socket.client_id)


def _told(prompt: RecordedPrompt, sockets: tuple[Socket, ...]) -> Iterator[tuple[Socket, Message]]:
    for socket, place in prompt.frames:
        yield sockets[socket], sockets[socket].messages[place]


def _previews(prompt: RecordedPrompt, sockets: tuple[Socket, ...]) -> set[str]:
    """Binary messages that came between the first and the last frame about a prompt."""
    found = set()
    for number in {socket for socket, _ in prompt.frames}:
        places = [place for socket, place in prompt.frames if socket == number]
        between = sockets[number].messages[min(places) : max(places)]
        found |= {binary_name(m.data) for m in between if isinstance(m.data, bytes)}
    return found
