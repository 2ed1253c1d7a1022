"""A submitted graph -> what two graphs are compared by, from the closest tier to the loosest."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from comfyrec.cassette.redact.pseudonyms.telling import told_form
from comfyrec.wording import shortened

__all__ = ["UUID", "VOLATILE", "Shape", "Tier", "differences", "inputs_of", "is_link"]

VOLATILE: Final = ("seed", "noise_seed", "filename_prefix", "rand_seed", "control_after_generate")
"""Inputs that clients draw anew for each submission and that change no event."""
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHOWN: Final = 60


class Tier(enum.IntEnum):
    """How well a recorded prompt fits; more is better."""

    ANY = 0
    """They have nothing in common."""
    OVERLAP = 1
    """Some node classes, or links between such, are the same."""
    RENUMBERED = 2
    """The same shape under other node ids."""
    SHAPE = 3
    """The same node ids, classes, input names and links; literals differ."""
    STRUCTURE = 4
    """Equal but for volatile inputs."""
    GRAPH = 5
    """The same nodes with the same inputs."""
    BODY = 6
    """The same graph, and all else that the server reads is the same too."""


# What the server reads besides the graph and changes its answer by (protocol.md, section 6).
_READ: Final = ("prompt_id", "front", "number", "partial_execution_targets")


class Shape:
    """What is compared of a POST /prompt body. Everything is computed when it is first asked for.

    Args:
        body: of the POST, as JSON.
        volatile: names of inputs that do not count for the structure.
        hidden: texts of the recording may be stand-ins: for the structure their form counts.

    Attributes:
        graph: {node_id: node}; empty when the body holds no graph.
    """

    def __init__(self, body: Any, volatile: frozenset[str], *, hidden: bool = False) -> None:
        body = body if isinstance(body, dict) else {"prompt": body}
        self._body, self._volatile, self._hidden = body, volatile, hidden
        prompt = body.get("prompt")
        self.graph: Mapping[str, Any] = prompt if isinstance(prompt, dict) else {}

    @property
    def targets(self) -> Any:
        """The output nodes that alone are asked for, as they came."""
        return self._body.get("partial_execution_targets")

    @cached_property
    def graph_key(self) -> bytes:
        """Equal for graphs that are the same to the server."""
        return _key(_plain(self._body.get("prompt"), frozenset()))

    @cached_property
    def structure_key(self) -> bytes:
        """The same without volatile inputs."""
        graph = _plain(self._body.get("prompt"), self._volatile)
        return _key(_forms(graph) if self._hidden and isinstance(graph, dict) else graph)

    @cached_property
    def rest_key(self) -> bytes:
        """What the server reads besides the graph."""
        return _key({name: _read(name, self._body) for name in _READ if name in self._body})

    @cached_property
    def shape_key(self) -> bytes:
        """Node ids, classes, input names and links."""
        return _key({node_id: _without_literals(node) for node_id, node in self.graph.items()})

    @cached_property
    def node_hashes(self) -> Mapping[str, bytes]:
        """Node id -> its class and all that it is made from, ids and literals aside."""
        return _node_hashes(self.graph)

    @cached_property
    def renumbered_key(self) -> bytes:
        """Equal for graphs of the same shape, whatever their nodes are called."""
        used = Counter(source for node in self.graph.values() for source in _sources(node))
        return _key(sorted((made.hex(), used[node]) for node, made in self.node_hashes.items()))

    @cached_property
    def parts(self) -> Counter[tuple[str, ...]]:
        """Its classes, and its links as (class, output, class, input)."""
        return Counter(_parts(self.graph))

    def close_tier(self, other: Shape) -> Tier | None:
        """How well the other one fits this one, if its nodes are the same."""
        if self.graph_key == other.graph_key:
            return Tier.BODY if self.rest_key == other.rest_key else Tier.GRAPH
        if self.structure_key == other.structure_key:
            return Tier.STRUCTURE
        if self.graph and other.graph and self.shape_key == other.shape_key:
            return Tier.SHAPE
        return None

    def tier(self, other: Shape) -> Tier:
        """How well the other one fits this one."""
        close = self.close_tier(other)
        if close is not None:
            return close
        if not self.graph or not other.graph:
            return Tier.ANY
        if self.renumbered_key == other.renumbered_key:
            return Tier.RENUMBERED
        return Tier.OVERLAP if self.parts.keys() & other.parts.keys() else Tier.ANY

    def overlap(self, other: Shape) -> float:
        """How much of both graphs' classes and links is common: 0 nothing, 1 all."""
        total = self.parts.total() + other.parts.total()
        return 2 * (self.parts & other.parts).total() / total if total else 0.0


def _read(name: str, body: Mapping[str, Any]) -> Any:
    """A well-formed prompt id is one like another."""
    value = body[name]
    if name == "prompt_id" and isinstance(value, str) and UUID.fullmatch(value):
        return "an id"
    return value


def _plain(graph: Any, volatile: frozenset[str]) -> Any:
    """Without ``_meta``, which the server does not read, and without volatile inputs."""
    if not isinstance(graph, dict):
        return graph
    return {node_id: _plain_node(node, volatile) for node_id, node in graph.items()}


def _plain_node(node: Any, volatile: frozenset[str]) -> Any:
    if not isinstance(node, dict):
        return node
    inputs = node.get("inputs")
    if isinstance(inputs, dict) and volatile:
        inputs = {name: v for name, v in inputs.items() if name not in volatile or is_link(v)}
    return {"class_type": node.get("class_type"), "inputs": inputs}


def _forms(graph: Mapping[str, Any]) -> Any:
    """A plain graph with the forms of texts that a redacted recording has stand-ins for."""
    return {
        node_id: {**node, "inputs": {n: _form(n, v) for n, v in inputs_of(node).items()}}
        if isinstance(node, dict)
        else node
        for node_id, node in graph.items()
    }


def _form(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return told_form(name, value)
    if isinstance(value, list):
        return [_form(name, item) for item in value]
    if isinstance(value, dict):
        return {key: _form(key, item) for key, item in value.items()}
    return value


def _without_literals(node: Any) -> Any:
    links = {name: v if is_link(v) else None for name, v in inputs_of(node).items()}
    return [_class(node), links]


def is_link(value: Any) -> bool:
    """Whether an input is another node's output: ``[node_id, slot]``."""
    return isinstance(value, list) and len(value) == 2


def inputs_of(node: Any) -> Mapping[str, Any]:
    """The inputs of a node, ``{}`` where it has none."""
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _node_hashes(graph: Mapping[str, Any]) -> dict[str, bytes]:
    """Sources first, without recursion: a chain of nodes may be long. Circles count as broken."""
    found: dict[str, bytes] = {}
    for root in graph:
        stack = [root]
        open_nodes: set[str] = set()
        while stack:
            node_id = stack[-1]
            sources = [s for s in _sources(graph[node_id]) if s in graph]
            missing = [s for s in sources if s not in found and s not in open_nodes]
            if node_id in found or not missing:
                stack.pop()
                open_nodes.discard(node_id)
                found.setdefault(node_id, _node_hash(graph[node_id], found))
            else:
                open_nodes.add(node_id)
                stack += missing
    return found


def _node_hash(node: Any, found: Mapping[str, bytes]) -> bytes:
    made_from = [
        [name, found.get(str(v[0]), b"").hex(), str(v[1])] if is_link(v) else [name]
        for name, v in sorted(inputs_of(node).items())
    ]
    return _key([_class(node), made_from])


def _sources(node: Any) -> Iterator[str]:
    yield from (str(value[0]) for value in inputs_of(node).values() if is_link(value))


def _parts(graph: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for node in graph.values():
        yield (_class(node),)
        for name, value in inputs_of(node).items():
            if is_link(value):
                yield _class(graph.get(str(value[0]))), str(value[1]), _class(node), name


def _key(value: Any) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True)
    except (RecursionError, TypeError):
        return b""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _class(node: Any) -> str:
    return str(node.get("class_type")) if isinstance(node, dict) else "no node"


# --- in words --------------------------------------------------------------------------------


def differences(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[str]:
    """In what a graph differs from a recorded one, one sentence each."""
    for node_id in _in_order(recorded.keys() - asked.keys()):
        yield f"node {node_id} ({_class(recorded[node_id])}) is missing"
    for node_id in _in_order(asked.keys() - recorded.keys()):
        yield f"node {node_id} ({_class(asked[node_id])}) was not there"
    for node_id in _in_order(asked.keys() & recorded.keys()):
        yield from _node_differences(node_id, asked[node_id], recorded[node_id])


def _in_order(node_ids: Any) -> Sequence[str]:
    return sorted(node_ids, key=lambda node_id: (len(node_id), node_id))


def _node_differences(node_id: str, asked: Any, recorded: Any) -> Iterator[str]:
    if _class(asked) != _class(recorded):
        yield f"node {node_id} is a {_class(asked)}, recorded was a {_class(recorded)}"
        return
    ours, theirs = inputs_of(asked), inputs_of(recorded)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            place = f"node {node_id} ({_class(asked)}) input {name}"
            yield f"{place}: {_short(ours.get(name))}, recorded was {_short(theirs.get(name))}"


def _short(value: Any) -> str:
    return shortened(repr(value), _SHOWN)
