"""Group nodes, as pages before subgraphs had them -> the same workflow with subgraphs.

A group is kept in ``extra.groupNodes`` by name: its nodes, the links among them by index, and what
was linked outside. An instance has the type ``workflow>NAME`` and all values of the nodes inside in
one list, so each instance becomes a subgraph of its own. Nodes inside are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from comfyrec.workflows.widgets import has_widget, input_specs, is_seed

__all__ = ["expand_groups"]

_PREFIXES: Final = ("workflow>", "workflow/")


def expand_groups(workflow: Mapping[str, Any], classes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The workflow, with a subgraph in the place of each group node."""
    extra = workflow.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, Mapping) else None
    if not isinstance(groups, Mapping):
        return workflow
    nodes: list[Any] = []
    made: list[Mapping[str, Any]] = []
    for node in workflow["nodes"]:
        group = groups.get(_group_of(node.get("type")))
        if isinstance(group, Mapping) and isinstance(group.get("nodes"), list):
            expanded = _Expanded(node, group, classes)
            made.append(expanded.subgraph())
            nodes.append(expanded.instance())
        else:
            nodes.append(node)
    if not made:
        return workflow
    definitions = workflow.get("definitions")
    listed = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    known = listed if isinstance(listed, list) else []
    return {**workflow, "nodes": nodes, "definitions": {"subgraphs": [*known, *made]}}


def _group_of(kind: Any) -> str | None:
    if isinstance(kind, str):
        for prefix in _PREFIXES:
            if kind.startswith(prefix):
                return kind.removeprefix(prefix)
    return None


class _Expanded:
    """One instance of a group, taken apart."""

    def __init__(
        self, node: Mapping[str, Any], group: Mapping[str, Any], classes: Mapping[str, Any]
    ) -> None:
        self._node = node
        self._classes = classes
        self._inner: list[Mapping[str, Any]] = [
            one if isinstance(one, Mapping) else {} for one in group["nodes"]
        ]
        self._id = f"group of node {node.get('id')}"
        self._config = group.get("config")
        self._external = {
            (entry[0], entry[1])
            for entry in group.get("external") or ()
            if isinstance(entry, list) and len(entry) >= 2
        }
        self._links: list[dict[str, Any]] = []
        for entry in group.get("links") or ():
            if isinstance(entry, list) and len(entry) >= 4 and isinstance(entry[0], int):
                self._link(entry[0], entry[1], entry[2], entry[3])
        self._inputs = [self._boundary(*one) for one in self._open_inputs()]
        self._outputs = [self._out(*one) for one in self._open_outputs()]

    def subgraph(self) -> Mapping[str, Any]:
        values = iter(self._node.get("widgets_values") or ())
        return {
            "id": self._id,
            "name": str(self._node.get("type")),
            "inputNode": {"id": -10},
            "outputNode": {"id": -20},
            "inputs": self._inputs,
            "outputs": self._outputs,
            "nodes": [self._inner_node(at, one, values) for at, one in enumerate(self._inner)],
            "links": self._links,
        }

    def instance(self) -> Mapping[str, Any]:
        return {**self._node, "type": self._id, "widgets_values": []}

    def _inner_node(
        self, at: int, node: Mapping[str, Any], values: Iterator[Any]
    ) -> Mapping[str, Any]:
        into = {link["target_slot"]: link["id"] for link in self._links if link["target_id"] == at}
        return {
            **node,
            "id": at,
            "order": at,
            "inputs": [
                {**slot, "link": into.get(number)} for number, slot in enumerate(self._slots(node))
            ],
            "widgets_values": self._values_of(node, values),
        }

    def _values_of(self, node: Mapping[str, Any], values: Iterator[Any]) -> list[Any]:
        """The part of the instance's values that belongs to one node inside.

        Inputs that were turned into sockets have kept their place among the node's own values and
        have none among the instance's.
        """
        own = list(node.get("widgets_values") or ())
        node_class = self._classes.get(str(node.get("type")))
        if node_class is None:
            return [next(values, value) for value in own]
        sockets = {slot.get("name") for slot in self._slots(node) if "widget" in slot}
        taken: list[Any] = []
        for name, spec in input_specs(node_class):
            if not has_widget(spec):
                continue
            count = 2 if is_seed(name, spec) else 1
            for _ in range(count):
                old = own[len(taken)] if len(taken) < len(own) else None
                taken.append(old if name in sockets else next(values, old))
        return taken

    def _slots(self, node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [slot for slot in node.get("inputs") or () if isinstance(slot, Mapping)]

    def _link(self, origin: int, origin_slot: int, target: int, target_slot: int) -> int:
        number = len(self._links) + 1
        self._links.append({
            "id": number, "origin_id": origin, "origin_slot": origin_slot,
            "target_id": target, "target_slot": target_slot,
        })  # fmt: skip
        return number

    def _open_inputs(self) -> Iterator[tuple[int, int, Mapping[str, Any], str]]:
        """Inputs that nothing inside is linked to, in the order of the instance's sockets.

        Sockets come first, node by node; widgets that were turned into sockets come last.
        """
        linked = {(link["target_id"], link["target_slot"]) for link in self._links}
        seen: dict[str, int] = {}
        named = []
        for at, node in enumerate(self._inner):
            for number, slot in enumerate(self._slots(node)):
                if (at, number) not in linked:
                    shown, name = self._input_name(at, node, slot, seen)
                    if shown:
                        named.append((at, number, slot, name))
        yield from (one for one in named if "widget" not in one[2])
        yield from (one for one in named if "widget" in one[2])

    def _input_name(
        self, at: int, node: Mapping[str, Any], slot: Mapping[str, Any], seen: dict[str, int]
    ) -> tuple[bool, str]:
        own = str(slot.get("name", ""))
        config = self._configured(at, "input", own)
        name = key = str(config.get("name") or slot.get("label") or own)
        if name in seen:
            prefix = f"{node.get('title') or node.get('type')} "
            key = name = f"{prefix}{own}"
            if name in seen:
                name = f"{prefix}{seen[name]} {own}"
        seen[key] = seen.get(key, 1) + 1
        return config.get("visible") is not False, name

    def _open_outputs(self) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
        """Outputs that the instance shows: those that are not used up inside."""
        linked = {(link["origin_id"], link["origin_slot"]) for link in self._links}
        for at, node in enumerate(self._inner):
            for number, slot in enumerate(node.get("outputs") or ()):
                used = (at, number) in linked and (at, number) not in self._external
                config = self._configured(at, "output", str(number))
                if config.get("visible", not used):
                    yield at, number, slot if isinstance(slot, Mapping) else {}

    def _configured(self, at: int, side: str, key: str) -> Mapping[str, Any]:
        config = self._config.get(str(at)) if isinstance(self._config, Mapping) else None
        part = config.get(side) if isinstance(config, Mapping) else None
        found = part.get(key) if isinstance(part, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _boundary(
        self, at: int, number: int, slot: Mapping[str, Any], name: str
    ) -> Mapping[str, Any]:
        place = len([link for link in self._links if link["origin_id"] == -10])
        link = self._link(-10, place, at, number)
        return {"name": name, "type": slot.get("type"), "linkIds": [link]}

    def _out(self, at: int, number: int, slot: Mapping[str, Any]) -> Mapping[str, Any]:
        place = len([link for link in self._links if link["target_id"] == -20])
        link = self._link(at, number, -20, place)
        return {"name": slot.get("name"), "type": slot.get("type"), "linkIds": [link]}
