"""Two prompts -> how well one stands for the other, and in what they differ."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from comfyrec.wording import shortened

__all__ = ["UUID", "VOLATILE", "Fit", "Shape", "differences"]

VOLATILE: Final = ("seed", "noise_seed", "filename_prefix", "rand_seed", "control_after_generate")
"""Inputs that clients draw anew for each submission and that change no event."""


class Fit(enum.IntEnum):
    """How well a recorded prompt fits; more is better."""

    ANY = 0
    STRUCTURE = 1
    """Equal but for volatile inputs."""
    GRAPH = 2
    """The same nodes with the same inputs."""
    BODY = 3
    """The same graph, and all else that the server reads is the same too."""


class Shape:
    """What is compared of a POST /prompt body, computed once.

    Args:
        body: of the POST, as JSON.
        volatile: names of inputs that do not count for the structure.
    """

    __slots__ = ("graph", "graph_key", "rest_key", "structure_key")

    def __init__(self, body: Any, volatile: frozenset[str]) -> None:
        body = body if isinstance(body, dict) else {"prompt": body}
        self.graph: Mapping[str, Any] = body["prompt"] if _is_graph(body.get("prompt")) else {}
        self.graph_key = _key(_plain(body.get("prompt"), frozenset()))
        self.structure_key = _key(_plain(body.get("prompt"), volatile))
        self.rest_key = _key({name: _told(name, body) for name in _READ if name in body})

    def fit(self, other: Shape) -> Fit:
        """How well the other one fits this one."""
        if self.graph_key == other.graph_key:
            return Fit.BODY if self.rest_key == other.rest_key else Fit.GRAPH
        return Fit.STRUCTURE if self.structure_key == other.structure_key else Fit.ANY


# What the server reads besides the graph and changes its answer by (PROTOCOL.md, section 6).
_READ: Final = ("prompt_id", "front", "number", "partial_execution_targets")


UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _told(name: str, body: Mapping[str, Any]) -> Any:
    """A well-formed prompt id is one like another."""
    value = body[name]
    if name == "prompt_id" and isinstance(value, str) and UUID.fullmatch(value):
        return "an id"
    return value


def _is_graph(value: Any) -> bool:
    return isinstance(value, dict)


def _plain(graph: Any, volatile: frozenset[str]) -> Any:
    """Without ``_meta``, which the server does not read, and without volatile inputs."""
    if not _is_graph(graph):
        return graph
    return {node_id: _plain_node(node, volatile) for node_id, node in graph.items()}


def _plain_node(node: Any, volatile: frozenset[str]) -> Any:
    if not isinstance(node, dict):
        return node
    inputs = node.get("inputs")
    if isinstance(inputs, dict) and volatile:
        inputs = {name: v for name, v in inputs.items() if name not in volatile or _is_link(v)}
    return {"class_type": node.get("class_type"), "inputs": inputs}


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _key(value: Any) -> bytes:
    try:
        text = json.dumps(value, sort_keys=True)
    except RecursionError:
        return b""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def differences(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[str]:
    """In what a graph differs from a recorded one, one sentence each."""
    for node_id in recorded.keys() - asked.keys():
        yield f"node {node_id} ({_class(recorded[node_id])}) is missing"
    for node_id in asked.keys() - recorded.keys():
        yield f"node {node_id} ({_class(asked[node_id])}) was not there"
    for node_id in sorted(asked.keys() & recorded.keys()):
        yield from _node_differences(node_id, asked[node_id], recorded[node_id])


def _class(node: Any) -> str:
    return str(node.get("class_type")) if isinstance(node, dict) else "no node"


def _node_differences(node_id: str, asked: Any, recorded: Any) -> Iterator[str]:
    if _class(asked) != _class(recorded):
        yield f"node {node_id} is a {_class(asked)}, recorded was a {_class(recorded)}"
        return
    ours, theirs = _inputs(asked), _inputs(recorded)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            place = f"node {node_id} ({_class(asked)}) input {name}"
            asked_for, was = (shortened(repr(inputs.get(name)), 60) for inputs in (ours, theirs))
            yield f"{place}: {asked_for}, recorded was {was}"


def _inputs(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}
