"""What a node's expansion adds to the graph, and its outputs once that has run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.values import NodeFailed, Value, is_link
from fake_server.simulator.cache import Entry
from fake_server.simulator.call_values import Returned, merged
from fake_server.simulator.graph import Graph

__all__ = ["add_expansion", "links_out", "output_of", "resolved", "takes_values"]


def add_expansion(
    graph: Graph,
    node_id: str,
    returned: Sequence[Returned],
    catalogue: Catalogue,
    *,
    again: bool,
) -> list[str]:
    """Put the nodes that a node expanded into into the graph.

    Args:
        again: whether a node may come a second time, as newer releases let it.

    Returns:
        The ids of the nodes, in their order.

    Raises:
        NodeFailed: a class that the server does not have, or an id that is taken.
    """
    added: list[str] = []
    for one in returned:
        for child, node in (one.expand or {}).items():
            if node["class_type"] not in catalogue:
                raise NodeFailed("KeyError", repr(node["class_type"]))
            if child in graph and not again:
                raise NodeFailed(
                    "execution.DuplicateNodeError",
                    f"Attempt to add duplicate node {child}. Ensure node ids are unique and "
                    "deterministic or use graph_utils.GraphBuilder.",
                )
            graph.add(child, node, node_id, str(node.get("override_display_id", node_id)))
            added.append(child)
    return added


def links_out(returned: Sequence[Returned]) -> list[list[Any]]:
    """The links in the outputs of expansions: what the node has to wait for."""
    return [
        value
        for one in returned
        if one.expand is not None
        for value in one.outputs or ()
        if is_link(value)
    ]


def resolved(
    graph: Graph, node_id: str, expanded: Sequence[Returned], held: Callable[[str], Entry | None]
) -> list[list[Any]]:
    """The outputs of a node whose expansion has run.

    Args:
        held: the result of a node, None if it has none.

    Raises:
        NodeFailed: an output leads to a node without a result, or to a slot that it lacks.
    """
    outputs = []
    for one in expanded:
        if one.expand is None:
            outputs.append(one)
            continue
        items: list[Any] = []
        for value in one.outputs or ():
            if is_link(value):
                entry = held(value[0])
                if entry is None:
                    raise NodeFailed(
                        "AttributeError", "'NoneType' object has no attribute 'outputs'"
                    )
                items += output_of(entry, value[1])
            else:
                items.append(Value(literal=value, known=value is not None))
        outputs.append(Returned(outputs=items))
    return merged(outputs, graph.node_class(node_id))


def output_of(entry: Entry, slot: int) -> list[Any]:
    """One output of a node that ran.

    Raises:
        NodeFailed: it has no such slot.
    """
    try:
        return entry.outputs[slot]
    except IndexError as wrong:
        raise NodeFailed("IndexError", str(wrong)) from None


def takes_values(graph: Graph, node_id: str, parent: str) -> bool:
    """Whether a node of an expansion is given what its parent had in hand.

    A node expands with values, not with links to where they came from; so what a plan writes
    as a link to an outer node is a picture there, and a picture equals no other one.
    """
    return any(
        value is None or (is_link(value) and graph.parent(value[0]) != parent)
        for value in graph.inputs(node_id).values()
    )
