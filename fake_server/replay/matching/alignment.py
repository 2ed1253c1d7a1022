"""Two graphs -> which node of one stands for which node of the other, and which literals differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fake_server.replay.matching.shape import Shape, Tier, inputs_of, is_link

__all__ = ["Alignment", "Pair", "aligned"]


class Pair(msgspec.Struct, frozen=True):
    """One literal input that both graphs have."""

    node_id: str
    """Of the recorded graph."""
    class_type: str
    name: str
    recorded: Any
    live: Any


class Alignment(msgspec.Struct, frozen=True):
    """How a recorded graph and a live one lie on each other."""

    nodes: Mapping[str, str]
    """Recorded node id -> live node id."""
    pairs: tuple[Pair, ...]


def aligned(recorded: Shape, live: Shape, tier: Tier) -> Alignment:
    """Lay a recorded graph on a live one.

    Args:
        recorded: the recorded submission.
        live: the submission that came now.
        tier: how well they fit.
    """
    if tier >= Tier.SHAPE:
        nodes = {node_id: node_id for node_id in recorded.graph}
    elif tier is Tier.RENUMBERED:
        nodes = _from_the_ends(recorded, live)
    else:
        nodes = _by_likeness(recorded, live)
    return Alignment(nodes, tuple(_pairs(recorded.graph, live.graph, nodes)))


def _pairs(
    recorded: Mapping[str, Any], live: Mapping[str, Any], nodes: Mapping[str, str]
) -> Iterator[Pair]:
    for node_id, live_id in nodes.items():
        ours, theirs = inputs_of(live.get(live_id)), inputs_of(recorded[node_id])
        class_type = _class(recorded[node_id])
        for name, value in theirs.items():
            if name in ours and not is_link(value) and not is_link(ours[name]):
                yield Pair(node_id, class_type, name, value, ours[name])


def _class(node: Any) -> str:
    return str(node.get("class_type")) if isinstance(node, dict) else ""


def _from_the_ends(recorded: Shape, live: Shape) -> dict[str, str]:
    """Equal shapes: pair the nodes that nothing is made from, then what each is made from."""
    free: dict[bytes, list[str]] = {}
    for node_id, node_hash in live.node_hashes.items():
        free.setdefault(node_hash, []).append(node_id)
    used = {str(v[0]) for n in recorded.graph.values() for v in inputs_of(n).values() if is_link(v)}
    found: dict[str, str] = {}
    # Ends first, then whatever no end leads to.
    for root in sorted(recorded.graph, key=lambda node_id: node_id in used):
        candidates = [i for i in free[recorded.node_hashes[root]] if i not in found.values()]
        if root not in found and candidates:
            _follow(recorded, live, root, candidates[0], found)
    return found


def _follow(
    recorded: Shape, live: Shape, node_id: str, live_id: str, found: dict[str, str]
) -> None:
    stack = [(node_id, live_id)]
    taken = set(found.values())
    while stack:
        one, other = stack.pop()
        if one in found or other in taken:
            continue
        if one not in recorded.graph or other not in live.graph:
            continue
        found[one] = other
        taken.add(other)
        ours, theirs = inputs_of(live.graph[other]), inputs_of(recorded.graph[one])
        stack += [
            (str(value[0]), str(ours[name][0]))
            for name, value in theirs.items()
            if is_link(value) and is_link(ours.get(name))
        ]


def _by_likeness(recorded: Shape, live: Shape) -> dict[str, str]:
    """Nodes of one class, those that are made from the same first."""
    by_class: dict[str, list[str]] = {}
    for live_id, node in live.graph.items():
        by_class.setdefault(_class(node), []).append(live_id)
    ranked = [
        (_likeness(recorded, live, node_id, live_id), place, node_id, live_id)
        for place, (node_id, node) in enumerate(recorded.graph.items())
        for live_id in by_class.get(_class(node), ())
    ]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for _, _, node_id, live_id in sorted(ranked, key=lambda r: (-r[0], r[1])):
        if node_id not in found and live_id not in taken:
            found[node_id] = live_id
            taken.add(live_id)
    return found


def _likeness(recorded: Shape, live: Shape, node_id: str, live_id: str) -> float:
    ours, theirs = inputs_of(live.graph[live_id]), inputs_of(recorded.graph[node_id])
    names = ours.keys() | theirs.keys()
    common = sum(name in ours and name in theirs for name in names) / max(len(names), 1)
    same = sum(ours.get(name) == value for name, value in theirs.items()) / max(len(theirs), 1)
    made_alike = recorded.node_hashes[node_id] == live.node_hashes[live_id]
    return 8.0 * made_alike + 2.0 * (node_id == live_id) + float(common + same)
