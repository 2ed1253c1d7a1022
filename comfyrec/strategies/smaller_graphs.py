"""A graph -> graphs with less in them, the boldest first: fewer outputs, plainer ones, less behind.

What is left of a graph keeps its ids, so that a plan of what nodes do still fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from comfyrec.strategies.graphs import Workflow, offer_of
from fake_server.nodes.catalogue import Catalogue, Input, NodeClass
from fake_server.simulator.validate import types_fit

__all__ = ["ONE_NODE", "outputs_of", "renumbered", "smaller_graphs", "unusual_values"]

ONE_NODE: Final[Workflow] = {"1": {"class_type": "PreviewAny", "inputs": {"source": ""}}}
"""The least that a server runs: a node that shows a text."""
_IMAGE: Final[dict[str, Any]] = {
    "class_type": "EmptyImage",
    "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
}
# The last of each is the output; what comes before it is linked to by its place, from "0" on.
_PLAIN_OUTPUTS: Final[tuple[tuple[dict[str, Any], ...], ...]] = (
    (ONE_NODE["1"],),
    (
        {
            "class_type": "SaveText",
            "inputs": {"text": "", "filename_prefix": "ComfyUI", "format": "txt"},
        },
    ),
    (_IMAGE, {"class_type": "PreviewImage", "inputs": {"images": ["0", 0]}}),
    (
        _IMAGE,
        {"class_type": "SaveImage", "inputs": {"images": ["0", 0], "filename_prefix": "ComfyUI"}},
    ),
)
"""Outputs of every kind that clients meet: a text, a file of text, a temporary picture, a picture.
"""


def smaller_graphs(graph: Workflow, catalogue: Catalogue) -> Iterator[Workflow]:
    """Graphs that a server accepts if it accepts this one.

    Some are not smaller than the graph; whoever asks compares.

    Args:
        graph: in API format.
        catalogue: the classes of its nodes.
    """
    outputs = outputs_of(graph, catalogue)
    if len(outputs) > 1:
        yield from (_needed(graph, [one]) for one in outputs)
    if len(outputs) > 2:
        yield from (_needed(graph, [two for two in outputs if two != one]) for one in outputs)
    for one in outputs:
        yield from _plainer_output(graph, one, outputs)
    for one in graph:
        yield from _linked_otherwise(graph, one, outputs, catalogue)
    defaults = {one: _with_defaults(node, catalogue) for one, node in graph.items()}
    yield defaults
    for one, node in graph.items():
        yield {**graph, one: defaults[one]}
        for plainer in _plainer_values(node, defaults[one], catalogue):
            yield {**graph, one: plainer}


def outputs_of(graph: Workflow, catalogue: Catalogue) -> list[str]:
    """The nodes that a prompt is run for."""
    known = ((one, catalogue.get(node["class_type"])) for one, node in graph.items())
    return [one for one, found in known if found is not None and found.output_node]


def unusual_values(graph: Workflow, catalogue: Catalogue) -> int:
    """How many values are not the default."""
    return sum(
        value != plain["inputs"][name]
        for node in graph.values()
        for plain in [_with_defaults(node, catalogue)]
        for name, value in node["inputs"].items()
    )


def renumbered(graph: Workflow) -> dict[str, str]:
    """For each node the id that it has where they are counted from 1."""
    return {one: str(number) for number, one in enumerate(graph, 1)}


def _needed(graph: Workflow, outputs: Iterable[str]) -> Workflow:
    """The nodes that these outputs need, in their order."""
    found: set[str] = set()
    pending = list(outputs)
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending += [source for _, (source, _) in _links(graph[one])]
    return {one: node for one, node in graph.items() if one in found}


def _links(node: Mapping[str, Any]) -> list[tuple[str, tuple[str, int]]]:
    return [
        (name, (value[0], value[1]))
        for name, value in node["inputs"].items()
        if isinstance(value, list) and len(value) == 2
    ]


def _free_id(graph: Workflow) -> str:
    return next(text for number in range(1, len(graph) + 2) if (text := str(number)) not in graph)


# --- outputs -------------------------------------------------------------------------------------


def _plainer_output(graph: Workflow, one: str, outputs: list[str]) -> Iterator[Workflow]:
    """Another output in the place of one, with little behind it or nothing."""
    for *before, last in _PLAIN_OUTPUTS:
        changed = dict(graph)
        made: dict[str, str] = {}
        for number, node in enumerate(before):
            twin = next((known for known, other in changed.items() if other == node), None)
            made[str(number)] = twin or _free_id(changed)
            changed[made[str(number)]] = node
        links = {name: [made[place], slot] for name, (place, slot) in _links(last)}
        node = {"class_type": last["class_type"], "inputs": {**last["inputs"], **links}}
        # The server works out equal nodes once.
        if node not in changed.values():
            yield _needed({**changed, one: node}, outputs)


# --- what outputs need ---------------------------------------------------------------------------


def _linked_otherwise(
    graph: Workflow, one: str, outputs: list[str], catalogue: Catalogue
) -> Iterator[Workflow]:
    """A node that takes an input from nearer by, or from a node that needs no other."""
    node, node_class = graph[one], catalogue.get(graph[one]["class_type"])
    if node_class is None:
        return
    for name, (source, _) in _links(node):
        link = node_class.inputs.get(name)
        if link is None:
            continue
        for other in _behind(graph, source):
            for slot in _fitting(catalogue.get(graph[other]["class_type"]), link):
                changed = {**node, "inputs": {**node["inputs"], name: [other, slot]}}
                yield _needed({**graph, one: changed}, outputs)
        if not _links(graph[source]):
            continue
        maker = _plain_maker(link, catalogue)
        if maker is not None:
            made, slot = maker
            new = _free_id(graph)
            changed = {**node, "inputs": {**node["inputs"], name: [new, slot]}}
            yield _needed({**graph, new: made, one: changed}, outputs)


def _behind(graph: Workflow, one: str) -> list[str]:
    """What a node needs, the farthest first: so that as much as can be is left out."""
    return [other for other in _needed(graph, [one]) if other != one]


def _fitting(node_class: NodeClass | None, link: Input) -> list[int]:
    made = node_class.output if node_class else ()
    return [slot for slot, kind in enumerate(made) if types_fit(kind, link.type)]


def _plain_maker(link: Input, catalogue: Catalogue) -> tuple[dict[str, Any], int] | None:
    """A node that takes values only, and makes what an input wants."""
    offer = offer_of(catalogue)
    alone = [one for one in offer.makers(link) if offer.price[one[0].name] == 1]
    # The one that everybody knows comes before those that come first by their names.
    alone.sort(key=lambda maker: maker[0].name != _IMAGE["class_type"])
    for node_class, slot in alone:
        required = [each for each in node_class.inputs.values() if each.required]
        inputs = {each.name: _default(each) for each in required}
        return {"class_type": node_class.name, "inputs": inputs}, slot
    return None


# --- values --------------------------------------------------------------------------------------

_PLAINEST: Final[Mapping[str, Any]] = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


def _default(each: Input) -> Any:
    if "default" in each.options:
        return each.options["default"]
    if each.choices:
        return each.choices[0]
    plainest = _PLAINEST.get(str(each.type), "")
    if isinstance(plainest, int | float) and not isinstance(plainest, bool):
        return type(plainest)(max(plainest, each.options.get("min", -math.inf)))
    return plainest


def _with_defaults(node: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The node with the default of each value that has one."""
    node_class = catalogue.get(node["class_type"])
    inputs = dict(node["inputs"])
    linked = dict(_links(node))
    for name in inputs:
        each = node_class.inputs.get(name) if node_class else None
        if each is None or name in linked:
            continue
        if each.type == "*" or each.choices is not None or each.type in _PLAINEST:
            inputs[name] = _default(each)
    return {"class_type": node["class_type"], "inputs": inputs}


def _plainer_values(
    node: Mapping[str, Any], defaults: Mapping[str, Any], catalogue: Catalogue
) -> Iterator[dict[str, Any]]:
    """One value after the other: its default, a part of a text."""
    node_class = catalogue.get(node["class_type"])
    for name, value in node["inputs"].items():
        each = node_class.inputs.get(name) if node_class else None
        plain = defaults["inputs"][name]
        if plain == value:
            continue
        parts = [plain]
        if isinstance(value, str) and len(value) > 1 and each and each.choices is None:
            parts += [*dict.fromkeys(value), value[: len(value) // 2], value[len(value) // 2 :]]
        for part in parts:
            yield {"class_type": node["class_type"], "inputs": {**node["inputs"], name: part}}
