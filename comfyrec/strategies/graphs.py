"""A catalogue of node classes -> graphs in API format that the server accepts and runs.

Strategy: a graph is built from its outputs upwards. Each class has a price, the number of nodes
that its smallest use takes; a budget is handed down, so that no draw has to be thrown away. A node
that another one equals is not made twice: the server would work it out once, and what it says of
the second is another story than most readers of a failing example want to hear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from hypothesis import strategies as st

from fake_server.nodes.catalogue import Catalogue, Input, NodeClass
from fake_server.simulator.validate import types_fit

__all__ = ["Workflow", "graphs"]

Workflow = dict[str, dict[str, Any]]
"""Node id -> ``{"class_type", "inputs"}``, as ``POST /prompt`` takes it under ``prompt``."""

NODES_MAX: Final = 12
OUTPUTS_MAX: Final = 3
NEAR: Final = 8
BEYOND_NEAR: Final = 2**31
TEXTS: Final = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_UPLOADS: Final = ("image_upload", "audio_upload", "video_upload", "file_upload")
_WIDGETS: Final = ("INT", "FLOAT", "STRING", "BOOLEAN")


def graphs(
    catalogue: Catalogue | Mapping[str, Any] | None = None, *, max_nodes: int = NODES_MAX
) -> st.SearchStrategy[Workflow]:
    """Graphs that a server with this catalogue accepts, each with at least one output node.

    They shrink towards one output node with its defaults.

    Args:
        catalogue: the nodes to choose from: a server's answer to ``GET /object_info``, parsed, or
            a ``Catalogue``; by default the core nodes.
        max_nodes: no graph has more nodes.

    Raises:
        UsageError: the mapping is not an object_info.
        ValueError: no graph of so few nodes can be made of this catalogue.
    """
    if catalogue is None:
        catalogue = Catalogue.core()
    elif not isinstance(catalogue, Catalogue):
        catalogue = Catalogue.from_object_info(catalogue)
    offer = offer_of(catalogue)
    if not offer.outputs or offer.price[offer.outputs[0].name] > max_nodes:
        raise ValueError(
            f"no output node of this catalogue can be reached with {max_nodes} nodes: give a "
            "larger max_nodes, or a catalogue with output nodes and nodes that feed them"
        )
    return _built(offer, max_nodes)


@st.composite
def _built(draw: st.DrawFn, offer: Offer, max_nodes: int) -> Workflow:
    building = _Building(draw, offer, max_nodes)
    fitting = [each for each in offer.outputs if offer.price[each.name] <= max_nodes]
    wanted = st.lists(st.sampled_from(fitting), min_size=1, max_size=OUTPUTS_MAX)
    for node_class in draw(wanted):
        if offer.price[node_class.name] <= building.left:
            building.add(node_class)
    return building.nodes


# --- what a catalogue offers ---------------------------------------------------------------------


def _is_widget(each: Input) -> bool:
    return each.choices is not None or each.type in _WIDGETS


def _is_usable(each: Input) -> bool:
    """Whether a value or a link for it can be made up: no uploads, nothing to choose from."""
    if any(each.options.get(flag) for flag in _UPLOADS):
        return False
    return each.choices is None or len(each.choices) > 0


def _links_of(node_class: NodeClass) -> list[Input]:
    return [
        each
        for each in node_class.inputs.values()
        if each.required and not _is_widget(each) and each.type != "*"
    ]


class Offer:
    """The usable classes of a catalogue, the cheapest first, with the price of each."""

    def __init__(self, catalogue: Catalogue) -> None:
        every = [node_class for name in catalogue if (node_class := catalogue.get(name))]
        usable = [
            each
            for each in every
            if not each.dynamic
            and not each.is_async
            and each.behaviour.file is None
            and all(_is_usable(one) for one in each.inputs.values() if one.required)
        ]
        self.price: dict[str, float] = dict.fromkeys((each.name for each in usable), math.inf)
        self._usable = usable
        kinds = {str(link.type): link for each in usable for link in _links_of(each)}
        # Asked once: there are some ten thousand pairs of an output and an input.
        self._feeding = {
            kind: [each for each in usable if _slots(each, link)] for kind, link in kinds.items()
        }
        while self._reprice():
            continue
        reached = [each for each in usable if self.price[each.name] < math.inf]
        self.classes = sorted(
            reached, key=lambda each: (self.price[each.name], len(each.inputs), each.name)
        )
        self.outputs = [each for each in self.classes if each.output_node]
        self._makers: dict[str, list[tuple[NodeClass, int]]] = {}
        self._values: dict[tuple[str, str], st.SearchStrategy[Any]] = {}

    def _reprice(self) -> bool:
        """One round of working out prices; whether one of them changed."""
        cheapest = {
            kind: min((self.price[each.name] for each in feeding), default=math.inf)
            for kind, feeding in self._feeding.items()
        }
        changed = False
        for each in self._usable:
            price = 1 + sum(cheapest[str(link.type)] for link in _links_of(each))
            if price < self.price[each.name]:
                self.price[each.name] = price
                changed = True
        return changed

    def makers(self, link: Input) -> list[tuple[NodeClass, int]]:
        """The classes, and the slot of each, that can feed an input; the cheapest first."""
        found = self._makers.get(str(link.type))
        if found is None:
            found = [(each, slot) for each in self.classes for slot in _slots(each, link)]
            self._makers[str(link.type)] = found
        return found

    def values(self, node_class: NodeClass, each: Input) -> st.SearchStrategy[Any]:
        """What an input may be; hypothesis looks at a strategy for long when it first sees it."""
        found = self._values.get((node_class.name, each.name))
        if found is None:
            found = self._values[node_class.name, each.name] = _value(each)
        return found

    def least(self, link: Input) -> float:
        """How many nodes it takes to feed an input."""
        return self.price[self.makers(link)[0][0].name]


def _slots(node_class: NodeClass, link: Input) -> list[int]:
    return [n for n, made in enumerate(node_class.output) if types_fit(made, link.type)]


@lru_cache(maxsize=8)
def offer_of(catalogue: Catalogue) -> Offer:
    """What a catalogue offers; worked out once."""
    return Offer(catalogue)


# --- one graph -----------------------------------------------------------------------------------


class _Building:
    """A graph in the making, and how many nodes may still come."""

    def __init__(self, draw: st.DrawFn, offer: Offer, max_nodes: int) -> None:
        self._draw, self._offer = draw, offer
        self.nodes: Workflow = {}
        self.left: float = max_nodes

    def add(self, node_class: NodeClass, reserved: float = 0) -> str:
        """Add a node and all that it needs; ``reserved`` nodes of the budget are for others."""
        self.left -= 1
        inputs = {each.name: value for each, value in self._inputs(node_class, reserved)}
        node = {"class_type": node_class.name, "inputs": inputs}
        twin = next((known for known, other in self.nodes.items() if other == node), None)
        if twin is not None:
            self.left += 1
            return twin
        node_id = str(len(self.nodes) + 1)
        self.nodes[node_id] = node
        return node_id

    def _inputs(self, node_class: NodeClass, reserved: float) -> Iterator[tuple[Input, Any]]:
        pending = sum(self._offer.least(link) for link in _links_of(node_class))
        for each in node_class.inputs.values():
            if not each.required:
                continue
            if _is_widget(each) or each.type == "*":
                yield each, self._draw(self._offer.values(node_class, each))
                continue
            pending -= self._offer.least(each)
            yield each, self._link(each, reserved + pending)

    def _link(self, link: Input, reserved: float) -> list[Any]:
        """Where an input comes from: a node that is there, or a new one."""
        here = [
            [node_id, slot]
            for node_id, node in self.nodes.items()
            for slot in self._slots_of(node["class_type"], link)
        ]
        prices = self._offer.price
        new = [
            maker
            for maker in self._offer.makers(link)
            if prices[maker[0].name] <= self.left - reserved
        ]
        if here and (not new or not self._draw(st.booleans())):
            return self._draw(st.sampled_from(here))
        node_class, slot = self._draw(st.sampled_from(new))
        return [self.add(node_class, reserved), slot]

    def _slots_of(self, name: str, link: Input) -> list[int]:
        return [slot for each, slot in self._offer.makers(link) if each.name == name]


# --- values --------------------------------------------------------------------------------------


def _value(each: Input) -> st.SearchStrategy[Any]:
    """Values that fit an input, the default first."""
    if each.choices is not None:
        return st.sampled_from(list(each.choices))
    made = _MADE.get(str(each.type), _MADE["STRING"])(each)
    default = each.options.get("default")
    return made if default is None else st.one_of(st.just(default), made)


def _integer(each: Input) -> st.SearchStrategy[int]:
    low = math.ceil(each.options.get("min", -NEAR))
    high = math.floor(each.options.get("max", low + BEYOND_NEAR))
    near = st.integers(low, min(high, low + NEAR))
    # Seeds are drawn from all they can be. Sizes and counts are not: a batch of 4096 says no more
    # than one of 4, and takes a thousand times as long.
    return st.one_of(near, st.integers(low, high)) if high - low >= BEYOND_NEAR else near


def _float(each: Input) -> st.SearchStrategy[float]:
    low = float(each.options.get("min", -1e6))
    high = float(each.options.get("max", max(low, 1e6)))
    # A whole number with more digits than a float has may become one that is beyond it.
    if low < each.options.get("min", low):
        low = math.nextafter(low, math.inf)
    if high > each.options.get("max", high):
        high = math.nextafter(high, -math.inf)
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


_MADE: Final[dict[str, Callable[[Input], st.SearchStrategy[Any]]]] = {
    "INT": _integer,
    "FLOAT": _float,
    "STRING": lambda each: TEXTS,
    "BOOLEAN": lambda each: st.booleans(),
}
