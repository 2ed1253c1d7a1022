"""The page's workflow JSON -> nodes, links and subgraphs, with what does not fit left out.

Field names are those of the workflow schema 0.4 and 1.0. A link of the root graph is a list
``[id, from node, from slot, to node, to slot, type]``, one of a subgraph an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

__all__ = ["BYPASSED", "MUTED", "Graph", "Input", "Link", "Node", "Subgraph", "read_graph"]

MUTED: Final = 2
BYPASSED: Final = 4
"""Values of a node's ``mode``; every other one runs."""


class Input(msgspec.Struct):
    """One input socket of a node, as the file has it."""

    name: str
    type: str
    link: int | None = None
    widget: str | None = None
    """The widget that the socket stands for, if it is not a socket only."""


class Link(msgspec.Struct, frozen=True):
    """A connection inside one graph."""

    id: int
    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str = "*"


class Node(msgspec.Struct):
    """One node of one graph."""

    id: str
    type: str
    title: str | None = None
    mode: int = 0
    order: int = 0
    inputs: list[Input] = []
    output_types: list[str] = []
    values: Sequence[Any] | Mapping[str, Any] = ()
    """``widgets_values``: by position, or by name as some extensions write them."""
    named_values: Mapping[str, Any] | None = None
    """``widgets_values_named`` of newer pages."""
    properties: Mapping[str, Any] = {}


class Graph(msgspec.Struct):
    """Nodes by id, in the order of the file, and links by id."""

    nodes: dict[str, Node]
    links: dict[int, Link]


class Subgraph(Graph):
    """The definition of a subgraph; nodes whose type is ``id`` are its instances."""

    id: str = ""
    name: str = ""
    input_node: str = "-10"
    """The id by which links name what comes in."""
    output_node: str = "-20"
    inputs: list[tuple[str, str, list[int]]] = []
    """Name, type and the links that lead to it, in order."""
    outputs: list[tuple[str, str, list[int]]] = []


def read_graph(workflow: Mapping[str, Any]) -> tuple[Graph, dict[str, Subgraph]]:
    """The root graph and all subgraph definitions by id, nested ones included."""
    subgraphs: dict[str, Subgraph] = {}
    _collect(workflow, subgraphs)
    root = Graph(_nodes(workflow), _links(workflow))
    _renumber(root, subgraphs, _integer(workflow.get("last_node_id")))
    return root, subgraphs


def _renumber(root: Graph, subgraphs: Mapping[str, Subgraph], last: int) -> None:
    """Give nodes inside subgraphs whose id is taken elsewhere a new one, as the page does."""
    taken = set(root.nodes)
    for subgraph in subgraphs.values():
        renamed: dict[str, str] = {}
        for node_id in subgraph.nodes:
            if node_id in taken:
                last += 1
                while str(last) in taken:
                    last += 1
                renamed[node_id] = str(last)
            taken.add(renamed.get(node_id, node_id))
        if renamed:
            _rename(subgraph, renamed)
            _rename_proxies([root, *subgraphs.values()], subgraph.id, renamed)


def _rename(subgraph: Subgraph, renamed: Mapping[str, str]) -> None:
    for node in subgraph.nodes.values():
        node.id = renamed.get(node.id, node.id)
    subgraph.nodes = {node.id: node for node in subgraph.nodes.values()}
    for number, link in subgraph.links.items():
        subgraph.links[number] = msgspec.structs.replace(
            link,
            origin=renamed.get(link.origin, link.origin),
            target=renamed.get(link.target, link.target),
        )


def _rename_proxies(graphs: Sequence[Graph], kind: str, renamed: Mapping[str, str]) -> None:
    for graph in graphs:
        for node in graph.nodes.values():
            entries = node.properties.get("proxyWidgets")
            if node.type == kind and isinstance(entries, list):
                moved = [
                    [renamed.get(str(entry[0]), entry[0]), *entry[1:]]
                    if isinstance(entry, list) and entry
                    else entry
                    for entry in entries
                ]
                node.properties = {**node.properties, "proxyWidgets": moved}


def _collect(holder: Mapping[str, Any], into: dict[str, Subgraph]) -> None:
    definitions = holder.get("definitions")
    listed = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    for entry in _mappings(listed):
        key = str(entry.get("id", ""))
        if not key or key in into:
            continue
        into[key] = Subgraph(
            nodes=_nodes(entry),
            links=_links(entry),
            id=key,
            name=str(entry.get("name", "")),
            input_node=_boundary(entry, "inputNode", "-10"),
            output_node=_boundary(entry, "outputNode", "-20"),
            inputs=_boundary_slots(entry.get("inputs")),
            outputs=_boundary_slots(entry.get("outputs")),
        )
        _collect(entry, into)


def _boundary(entry: Mapping[str, Any], name: str, default: str) -> str:
    node = entry.get(name)
    return str(node["id"]) if isinstance(node, Mapping) and "id" in node else default


def _boundary_slots(slots: Any) -> list[tuple[str, str, list[int]]]:
    return [
        (
            str(slot.get("name", "")),
            _type(slot.get("type")),
            _integers(slot.get("linkIds")),
        )
        for slot in _mappings(slots)
    ]


def _nodes(holder: Mapping[str, Any]) -> dict[str, Node]:
    nodes = {}
    for entry in _mappings(holder.get("nodes")):
        node = _node(entry)
        nodes[node.id] = node
    return nodes


def _node(entry: Mapping[str, Any]) -> Node:
    values = entry.get("widgets_values")
    named = entry.get("widgets_values_named")
    properties = entry.get("properties")
    title = entry.get("title")
    return Node(
        id=str(entry.get("id")),
        type=str(entry.get("type")),
        title=title if isinstance(title, str) else None,
        mode=_integer(entry.get("mode")),
        order=_integer(entry.get("order")),
        inputs=[_input(slot) for slot in _mappings(entry.get("inputs"))],
        output_types=[_type(slot.get("type")) for slot in _mappings(entry.get("outputs"))],
        values=values if isinstance(values, list | Mapping) else (),
        named_values=named if isinstance(named, Mapping) else None,
        properties=properties if isinstance(properties, Mapping) else {},
    )


def _input(slot: Mapping[str, Any]) -> Input:
    link, widget = slot.get("link"), slot.get("widget")
    return Input(
        name=str(slot.get("name", "")),
        type=_type(slot.get("type")),
        link=link if isinstance(link, int) else None,
        widget=str(widget["name"]) if isinstance(widget, Mapping) and "name" in widget else None,
    )


def _links(holder: Mapping[str, Any]) -> dict[int, Link]:
    links = {}
    entries = holder.get("links")
    for entry in entries if isinstance(entries, list) else ():
        link = _link(entry)
        if link is not None:
            links[link.id] = link
    return links


def _link(entry: Any) -> Link | None:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    if isinstance(entry, Mapping):
        entry = [entry.get(name) for name in names]
    if not isinstance(entry, list) or len(entry) < 5 or not isinstance(entry[0], int):
        return None
    number, origin, origin_slot, target, target_slot, *kind = entry
    if _integer(origin_slot) < 0:
        return None  # no output counts from the end
    return Link(
        id=number,
        origin=str(origin),
        origin_slot=_integer(origin_slot),
        target=str(target),
        target_slot=_integer(target_slot),
        type=_type(kind[0] if kind else None),
    )


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _integers(value: Any) -> list[int]:
    return [one for one in value if isinstance(one, int)] if isinstance(value, list) else []


def _integer(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _type(value: Any) -> str:
    """A slot's type; a list of choices is a combo."""
    if isinstance(value, list):
        return "COMBO"
    return str(value) if value not in (None, 0, "") else "*"
