"""A run -> runs with less in them, the boldest first: no fault, one node, nobody who interrupts.

What is left out may only be left out: each of these runs is one that could have been drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.http.request import loads_or_none
from comfyrec.strategies.faults import Fault, is_greeting
from comfyrec.strategies.graphs import Workflow
from comfyrec.strategies.messages import Message
from comfyrec.strategies.smaller_graphs import (
    ONE_NODE,
    renumbered,
    smaller_graphs,
    unusual_values,
)
from comfyrec.strategies.streams import Stream, played
from comfyrec.versions import DEFAULT_VERSION
from fake_server.nodes.catalogue import Catalogue
from fake_server.scenarios.kit.matchers import look

__all__ = ["PLAINEST", "frame_at_fault", "frames_of", "name_of", "smaller"]

PLAINEST: Final = Stream(graph=ONE_NODE)
"""A run in which nothing happens but what has to."""
_ONE: Final = next(iter(ONE_NODE))
_OF_SEVERAL: Final = ("foreign",)
_FREE_TEXT: Final = ("unknown", "large")
"""Faults whose message may say anything."""

Size = tuple[Any, ...]


def name_of(stream: Stream) -> str:
    """The same for runs that are the same; what follows from the rest is not in it."""
    plain = msgspec.structs.replace(stream, catalogue=None, fault=None)
    whole = msgspec.to_builtins(msgspec.structs.asdict(plain) | _NOTHING_SAID)
    fault = msgspec.structs.astuple(stream.fault) if stream.fault else None
    return repr((whole, fault))


_NOTHING_SAID: Final[dict[str, Any]] = {
    "messages": (), "times_us": (), "accepted": {}, "history": None, "prompt_id": "", "end": None,
    "outcome": "success", "truth": (),
}  # fmt: skip
"""What is filled in when a run is played."""


def smaller(stream: Stream, *, misses_frames: bool) -> Iterator[Stream]:
    """Runs with less in them than this one, played.

    Args:
        stream: a run on which a client fails.
        misses_frames: the client opens no WebSocket before it submits, so that it matters how long
            its prompt waits.
    """
    size = _size(stream)
    # What is wrong stays wrong without the fault for which it was looked at.
    keeps = tuple(sorted({*stream.keeps, *(stream.fault.kind.keeps if stream.fault else ())}))
    for one in _less(stream, misses_frames):
        if _size(one) < size:
            yield played(msgspec.structs.replace(one, keeps=keeps))


def _size(stream: Stream) -> Size:
    fault, graph = stream.fault, stream.graph
    extra = fault.extra if fault else ()
    return (
        fault is not None,
        len(graph),
        stream.interrupted_at is not None,
        sum(map(len, stream.nodes.values())),
        stream.waits,
        stream.version != DEFAULT_VERSION,
        stream.flags,
        len(extra),
        sum(map(len, extra)),
        fault is not None and fault.code is not None,
        fault.position if fault else 0,
        unusual_values(graph, _catalogue(stream)),
        len(repr(graph)),
        len(repr(stream.nodes)),
        repr(stream.nodes),
        [*graph],
    )


def _catalogue(stream: Stream) -> Catalogue:
    return stream.catalogue or Catalogue.core()


def _less(stream: Stream, misses_frames: bool) -> Iterator[Stream]:
    without = [False, True] if misses_frames else [False]
    yield from (msgspec.structs.replace(PLAINEST, waits=waits) for waits in without)
    for plan in _plans(stream):
        yield msgspec.structs.replace(PLAINEST, nodes={_ONE: plan}, waits=stream.waits)
    if stream.fault is not None:
        for waits in without:
            yield msgspec.structs.replace(stream, fault=None, waits=waits)
        yield _with(stream, graph=ONE_NODE, nodes={}, interrupted_at=None)
        for plan in _plans(stream):
            yield _with(stream, graph=ONE_NODE, nodes={_ONE: plan}, interrupted_at=None)
    yield from _with_less_said(stream)
    for graph in smaller_graphs(stream.graph, _catalogue(stream)):
        nodes = {one: plan for one, plan in stream.nodes.items() if one in graph}
        interrupted = stream.interrupted_at if stream.interrupted_at in graph else None
        yield _with(stream, graph=graph, nodes=nodes, interrupted_at=interrupted)
    yield from _with_a_smaller_fault(stream)
    yield _counted_anew(stream)


def _plans(stream: Stream) -> list[dict[str, Any]]:
    """What nodes do, each once."""
    found: list[dict[str, Any]] = []
    for plan in stream.nodes.values():
        if plan not in found:
            found.append(plan)
    return found


def _with(stream: Stream, **changes: Any) -> Stream:
    """The run with another graph or plan; its fault stands at a frame of the same kind."""
    changed = msgspec.structs.replace(stream, **changes)
    fault = stream.fault
    if fault is None:
        return changed
    kind, kinds = frame_at_fault(stream), frames_of(changed)
    last = len(kinds) - (2 if fault.label == "swapped" else 1)
    position = kinds.index(kind) if kind in kinds else fault.position
    position = max(min(position, last), 0)
    return msgspec.structs.replace(changed, fault=msgspec.structs.replace(fault, position=position))


def frame_at_fault(stream: Stream) -> str:
    """The kind of frame at which the fault stands; empty: there is none."""
    kinds = frames_of(stream)
    at = stream.position
    return kinds[at] if at is not None and at < len(kinds) else ""


def frames_of(stream: Stream) -> list[str]:
    """The frames of a run without its fault, as a fault counts them: ``executing null``."""
    legal = played(msgspec.structs.replace(stream, fault=None))
    frames = [look(message) for message in legal.messages]
    return [_kind(frame.type, frame.data) for frame in frames if not is_greeting(frame)]


def _kind(type_: str, data: Any) -> str:
    return f"{type_} null" if type_ == "executing" and data.get("node") is None else type_


# --- what happens beside the graph ---------------------------------------------------------------


def _with_less_said(stream: Stream) -> Iterator[Stream]:
    if stream.interrupted_at is not None:
        at = stream.interrupted_at
        nodes = {one: plan for one, plan in stream.nodes.items() if one != at}
        yield _with(stream, interrupted_at=None, nodes=nodes)
    yield _with(stream, version=DEFAULT_VERSION, flags=False)
    yield _with(stream, version=DEFAULT_VERSION)
    yield _with(stream, flags=False)
    kept = {one: plan for one, plan in stream.nodes.items() if one == stream.interrupted_at}
    yield _with(stream, nodes=kept)
    for one, plan in stream.nodes.items():
        if one in kept:
            continue
        others = {other: its for other, its in stream.nodes.items() if other != one}
        yield _with(stream, nodes=others)
        for deed in plan if len(plan) > 1 else ():
            less = {name: value for name, value in plan.items() if name != deed}
            yield _with(stream, nodes={**others, one: less})
        if plan.get("steps", 1) > 1:
            yield _with(stream, nodes={**others, one: {**plan, "steps": 1}})


def _counted_anew(stream: Stream) -> Stream:
    """The nodes are numbered from 1."""
    ids = renumbered(stream.graph)
    graph: Workflow = {}
    for one, node in stream.graph.items():
        inputs = {name: _renamed(value, ids) for name, value in node["inputs"].items()}
        graph[ids[one]] = {**node, "inputs": inputs}
    at = stream.interrupted_at
    return msgspec.structs.replace(
        stream,
        graph=graph,
        nodes={ids[one]: plan for one, plan in stream.nodes.items()},
        interrupted_at=None if at is None else ids[at],
    )


def _renamed(value: Any, ids: dict[str, str]) -> Any:
    is_link = isinstance(value, list) and len(value) == 2
    return [ids[value[0]], value[1]] if is_link else value


# --- the fault -----------------------------------------------------------------------------------


def _with_a_smaller_fault(stream: Stream) -> Iterator[Stream]:
    fault = stream.fault
    if fault is None:
        return
    for smaller_one in _smaller_faults(fault):
        yield msgspec.structs.replace(stream, fault=smaller_one)


def _smaller_faults(fault: Fault) -> Iterator[Fault]:
    for position in dict.fromkeys((0, fault.position // 2, fault.position - 1)):
        if 0 <= position < fault.position:
            yield msgspec.structs.replace(fault, position=position)
    if fault.code is not None:
        yield msgspec.structs.replace(fault, code=None)
    if fault.label in _OF_SEVERAL:
        for number, message in enumerate(fault.extra):
            yield msgspec.structs.replace(fault, extra=(message,))
            if rest := (*fault.extra[:number], *fault.extra[number + 1 :]):
                yield msgspec.structs.replace(fault, extra=rest)
    elif fault.label in _FREE_TEXT and fault.extra:
        for message in _smaller_messages(fault.extra[0]):
            yield msgspec.structs.replace(fault, extra=(message,))


def _smaller_messages(message: Message) -> Iterator[Message]:
    """The message with less in it; it stays one of its type."""
    if isinstance(message, bytes):
        yield from (message[: len(message) // part] for part in (4, 2) if len(message) // part >= 4)
        return
    value = loads_or_none(message)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(value, dict) or "data" not in value:
        return
    yield json.dumps({"type": value["type"]})
    if isinstance(data, dict):
        for name, inner in data.items():
            yield comfy_json({**value, "data": {k: v for k, v in data.items() if k != name}})
            if isinstance(inner, str) and len(inner) > 1:
                yield comfy_json({**value, "data": {**data, name: inner[: len(inner) // 2]}})
