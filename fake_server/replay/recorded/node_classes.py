"""timeline -> the node classes of the recorded server, as far as the recording shows them.

What GET /object_info said stands first. A class that it did not describe is taken as ComfyUI's own
node of that name has it, and any other class as the recorded graphs use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from comfyrec.timeline import Timeline
from fake_server.nodes.catalogue import Catalogue

__all__ = ["NodeClasses", "node_classes_of"]


class NodeClasses(msgspec.Struct, frozen=True):
    """What is known of the classes of a recorded server."""

    info: Mapping[str, Mapping[str, Any]]
    """As GET /object_info answers."""
    described: frozenset[str]
    """The classes of which the recorded server itself said what they are."""

    def catalogue(self) -> Catalogue:
        """The same, to validate and to run prompts with."""
        return Catalogue.from_object_info(self.info) if self.info else Catalogue({}, {})


def node_classes_of(timeline: Timeline) -> NodeClasses:
    """The classes of a recording."""
    described = dict(_described(timeline))
    core = Catalogue.core()
    learned = {}
    for name, used in _used(timeline).items():
        if name not in described:
            learned[name] = core.info(name) or used
    return NodeClasses({**learned, **described}, frozenset(described))


def _described(timeline: Timeline) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for exchange in timeline.exchanges:
        path = exchange.path
        if exchange.method != "GET" or exchange.status != 200:
            continue
        if path == "/object_info" or path.startswith("/object_info/"):
            answer = exchange.response_json
            for name, info in answer.items() if isinstance(answer, dict) else ():
                known = isinstance(info, Mapping) and ("input" in info or "output" in info)
                if known and isinstance(info.get("input", {}), Mapping):
                    yield name, info


def _used(timeline: Timeline) -> dict[str, dict[str, Any]]:
    """Classes of the graphs that the server took, with the inputs and outputs used there."""
    inputs: dict[str, set[str]] = {}
    slots: dict[str, int] = {}
    ends: set[str] = set()
    for prompt in timeline.prompts:
        nodes = {key: node for key, node in prompt.graph.items() if isinstance(node, dict)}
        used = set()
        for node in nodes.values():
            given = node.get("inputs")
            given = given if isinstance(given, dict) else {}
            inputs.setdefault(str(node.get("class_type")), set()).update(given)
            for source, slot in _links(given.values()):
                used.add(source)
                name = str(nodes.get(source, {}).get("class_type"))
                slots[name] = max(slots.get(name, 0), slot + 1)
        ends.update(str(node.get("class_type")) for key, node in nodes.items() if key not in used)
    return {
        name: _class_info(name, sorted(names), slots.get(name, 0), ends=name in ends)
        for name, names in inputs.items()
    }


def _links(values: Iterable[Any]) -> Iterator[tuple[str, int]]:
    for value in values:
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
            yield str(value[0]), min(max(value[1], 0), _SLOTS_MAX)


_SLOTS_MAX = 64


def _class_info(name: str, inputs: list[str], slots: int, *, ends: bool) -> dict[str, Any]:
    return {
        "input": {"required": {}, "optional": {input_name: ["*"] for input_name in inputs}},
        "input_order": {"required": [], "optional": inputs},
        "output": ["*"] * slots,
        "output_is_list": [False] * slots,
        "output_name": ["*"] * slots,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "",
        "output_node": ends,
    }
