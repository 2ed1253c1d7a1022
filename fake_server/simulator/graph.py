"""A prompt as a graph: its nodes and those they expand into, the order of work, the cache keys.

protocol.md, sections 4 and 5: ready output nodes and async nodes run first, then nodes that feed an
output; a result is known again by its class, its literal inputs and the same of all ancestors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from fake_server.nodes.catalogue import Catalogue, NodeClass
from fake_server.nodes.values import is_link

__all__ = ["Graph", "NodeInputError", "Order", "Signature", "signatures"]

# Upstream repeats every ancestor in every signature, which takes quadratic time. Graphs beyond this
# get nested signatures, which tell the same results apart but do not see who shares an ancestor.
EXACT_NODES_MAX: Final = 400


class NodeInputError(Exception):
    """A lazy node asked for an input that it does not have."""


class Graph:
    """A submitted prompt and, while it runs, the nodes that others expanded into."""

    def __init__(self, prompt: Mapping[str, Mapping[str, Any]], catalogue: Catalogue) -> None:
        self.prompt = prompt
        self.catalogue = catalogue
        self._added: dict[str, Mapping[str, Any]] = {}
        self._parents: dict[str, str] = {}
        self._displays: dict[str, str] = {}

    def node(self, node_id: str) -> Mapping[str, Any]:
        """``{"class_type", "inputs"}`` of a node. ``KeyError`` when there is none."""
        found = self._added.get(node_id)
        return self.prompt[node_id] if found is None else found

    def inputs(self, node_id: str) -> Mapping[str, Any]:
        """The inputs of a node as written; nodes that no output needs may have none."""
        inputs = self.node(node_id).get("inputs")
        return inputs if isinstance(inputs, Mapping) else {}

    def node_class(self, node_id: str) -> NodeClass:
        """The class of a node. ``KeyError`` when the catalogue has none."""
        name = self.node(node_id)["class_type"]
        found = self.catalogue.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.prompt or node_id in self._added

    def add(self, node_id: str, node: Mapping[str, Any], parent: str, display: str) -> None:
        """Add a node that ``parent`` expanded into."""
        self._added[node_id] = node
        self._parents[node_id] = parent
        self._displays[node_id] = display

    def all_ids(self) -> list[str]:
        """The ids of the prompt, then those of expansions."""
        return [*self.prompt, *(one for one in self._added if one not in self.prompt)]

    def parent(self, node_id: str) -> str | None:
        """Who expanded into this node; None for a node of the prompt."""
        return self._parents.get(node_id)

    def real(self, node_id: str) -> str:
        """The node of the prompt that this one comes from."""
        while node_id in self._parents:
            node_id = self._parents[node_id]
        return node_id

    def meta(self, node_id: str) -> dict[str, Any]:
        """How the history names a node: its own id, the one shown, its parent, the one on file."""
        return {
            "node_id": node_id,
            "display_node": self.display(node_id),
            "parent_node": self.parent(node_id),
            "real_node_id": self.real(node_id),
        }

    def display(self, node_id: str) -> str:
        """The node that a frontend shows this one as."""
        while node_id in self._displays:
            node_id = self._displays[node_id]
        return node_id


class Order:
    """Which node runs next; it may be given back and get further nodes to wait for."""

    def __init__(self, graph: Graph, is_cached: Callable[[str], bool]) -> None:
        self._graph = graph
        self._is_cached = is_cached
        self._waits_for: dict[str, int] = {}  # pending nodes, in the order they were added
        self._blocks: dict[str, dict[str, None]] = {}  # who waits for a node
        self.outside = 0
        """How many nodes wait for something outside of the graph (async work)."""

    def __bool__(self) -> bool:
        return bool(self._waits_for)

    def add(self, node_id: str) -> None:
        """Add a node and what it needs, as far as that is not cached; lazy inputs wait."""
        stack = [node_id]
        links: list[tuple[str, str]] = []
        while stack:
            one = stack.pop()
            if one in self._waits_for:
                continue
            self._waits_for[one] = 0
            self._blocks[one] = {}
            lazy = self._graph.node_class(one).lazy
            for name, value in self._graph.inputs(one).items():
                if not is_link(value) or name in lazy or value[0] not in self._graph:
                    continue
                if not self._is_cached(value[0]):
                    stack.append(value[0])
                    links.append((value[0], one))
        for source, target in links:
            self.link(source, target)

    def link(self, source: str, target: str) -> None:
        """Let ``target`` wait for ``source``, unless that is cached."""
        if self._is_cached(source) or source not in self._graph:
            return
        self.add(source)
        if target not in self._blocks[source]:
            self._blocks[source][target] = None
            self._waits_for[target] += 1

    def need(self, node_id: str, name: str) -> None:
        """A lazy node asks for one of its inputs.

        Raises:
            NodeInputError: it has no such input, or the input is a constant.
        """
        inputs = self._graph.inputs(node_id)
        said = f"Node {node_id} says it needs input {name}, but "
        if name not in inputs:
            raise NodeInputError(f"{said}there is no input to that node at all")
        if not is_link(inputs[name]):
            raise NodeInputError(f"{said}that value is a constant")
        self.link(inputs[name][0], node_id)

    def hold(self, node_id: str) -> None:
        """Keep a node back until ``release``."""
        self.outside += 1
        self._waits_for[node_id] += 1

    def release(self, node_id: str) -> None:
        """End a ``hold``."""
        self.outside -= 1
        self._waits_for[node_id] -= 1

    def done(self, node_id: str) -> None:
        """A node has its result; those that waited for it may go on."""
        del self._waits_for[node_id]
        for target in self._blocks.pop(node_id):
            self._waits_for[target] -= 1

    def next(self) -> str | None:
        """The node to run next; None when all wait."""
        ready = [one for one, count in self._waits_for.items() if count == 0]
        if len(ready) < 2:
            return ready[0] if ready else None
        return self._soonest_seen(ready)

    def _soonest_seen(self, ready: list[str]) -> str:
        # The server shows results early: outputs and async nodes, then what feeds an output, then
        # what feeds that (VAE loader, decoder, preview).
        is_output = self._is_output
        for one in ready:
            if is_output(one) or self._graph.node_class(one).is_async:
                return one
        for one in ready:
            if any(is_output(target) for target in self._blocks[one]):
                return one
        for one in ready:
            if any(is_output(far) for near in self._blocks[one] for far in self._blocks[near]):
                return one
        return ready[0]

    def _is_output(self, node_id: str) -> bool:
        return self._graph.node_class(node_id).output_node

    def in_cycle(self) -> list[str]:
        """The nodes that are left when everything that could run is taken away."""
        sources: dict[str, set[str]] = {one: set() for one in self._waits_for}
        for source, targets in self._blocks.items():
            for target in targets:
                sources[target].add(source)
        free = [one for one, needed in sources.items() if not needed]
        while free:
            gone = set(free)
            for one in free:
                del sources[one]
            for needed in sources.values():
                needed -= gone
            free = [one for one, needed in sources.items() if not needed]
        return list(sources)


# --- cache keys ------------------------------------------------------------------------------


class Signature:
    """A cache key whose hash is counted once."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Signature) and self._hash == other._hash and self.parts == other.parts
        )


def signatures(
    graph: Graph, node_ids: Iterable[str], changed: Callable[[str], Any]
) -> dict[str, Signature]:
    """The cache key of each node.

    ``changed`` gives what a node's own change check says of it (False for most classes); something
    that equals nothing else makes the node and all that follows unknown to the cache.
    """
    ids = [one for one in node_ids if one in graph]
    if len(ids) > EXACT_NODES_MAX:
        return _nested(graph, ids, changed)
    own = _Own(graph, changed)
    return {one: Signature(_exact(own, one)) for one in ids}


class _Own(dict[str, list[Any]]):
    """What makes each node itself, found out when first asked for."""

    def __init__(self, graph: Graph, changed: Callable[[str], Any]) -> None:
        self._graph, self._changed = graph, changed

    def __missing__(self, node_id: str) -> list[Any]:
        parts = self[node_id] = _own(self._graph, node_id, self._changed)
        return parts


def _exact(own: _Own, node_id: str) -> tuple[Any, ...]:
    numbers = _ancestors(own, node_id)
    return tuple([
        tuple([
            (part[0], "ANCESTOR", numbers[part[1]], part[2]) if type(part) is list else part
            for part in own[one]
        ])
        for one in (node_id, *numbers)
    ])  # fmt: skip


def _ancestors(own: _Own, node_id: str) -> dict[str, int]:
    """The number of each ancestor: depth first by sorted input names."""
    numbers: dict[str, int] = {}
    # A stack of iterators, for chains may be long.
    stack = [iter(own[node_id])]
    while stack:
        for part in stack[-1]:
            if type(part) is list and part[1] not in numbers:
                numbers[part[1]] = len(numbers)
                stack.append(iter(own[part[1]]))
                break
        else:
            stack.pop()
    return numbers


def _own(graph: Graph, node_id: str, changed: Callable[[str], Any]) -> list[Any]:
    """What makes a node itself; links stand as lists ``[name, source, slot]``."""
    if node_id not in graph:
        return [object()]
    node_class = graph.node_class(node_id)
    parts: list[Any] = [node_class.name, changed(node_id)]
    if node_class.unique_id:
        parts.append(("id", node_id))
    inputs = graph.inputs(node_id)
    for name in sorted(inputs):
        value = inputs[name]
        parts.append([name, *value] if is_link(value) else _literal(name, value))
    return parts


def _nested(graph: Graph, ids: list[str], changed: Callable[[str], Any]) -> dict[str, Signature]:
    # A digest in place of each ancestor's parts, so that comparing keys does not recurse; None for
    # what equals nothing, which makes all that follows equal nothing too.
    digests: dict[str, bytes | None] = {}
    own: dict[str, list[Any]] = {}
    stack = list(reversed(ids))
    while stack:
        one = stack[-1]
        first_visit = one not in own
        if first_visit:
            own[one] = _own(graph, one, changed)
        missing = [p[1] for p in own[one] if type(p) is list and p[1] not in digests]
        if missing and first_visit and one not in digests:
            stack.extend(missing)
            continue
        # Missing on the second visit is a cycle, which validation has not seen because no output
        # needs it. It never runs.
        digests.setdefault(one, _digest(own[one], digests))
        stack.pop()
    unlike = ((one, digests[one]) for one in ids)
    return {one: Signature((digest or object(),)) for one, digest in unlike}


def _digest(parts: list[Any], digests: Mapping[str, bytes | None]) -> bytes | None:
    text = []
    for part in parts:
        if type(part) is list:
            digest = digests.get(part[1])
            if digest is None:
                return None
            text.append(repr((part[0], digest, part[2])))
        elif type(part) is object:
            return None
        else:
            text.append(repr(part))
    return sha256("\n".join(text).encode("utf-8", "surrogatepass")).digest()


def _literal(name: str, value: Any) -> Any:
    frozen = _frozen(value)
    return frozen if type(frozen) is object else (name, frozen)


def _frozen(value: Any) -> Any:
    """A literal as something that can be hashed; nested ones as canonical JSON."""
    if not isinstance(value, (dict, list)):
        return value
    try:
        return "json", json.dumps(value, sort_keys=True)
    except RecursionError:  # deeper than Python goes: it equals nothing
        return object()
