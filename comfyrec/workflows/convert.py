"""A workflow in the page's format -> the prompt that the page would send.

The page walks over the nodes, muted and bypassed ones left out, gives each its widgets' values and
follows each link backwards until it meets a node that runs: through reroutes, bypassed nodes and
the edges of subgraphs. A node inside a subgraph is named by the ids on the way to it, joined by
colons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from comfyrec.errors import WorkflowError
from comfyrec.workflows.graph import BYPASSED, MUTED, Graph, Input, Node, Subgraph, read_graph
from comfyrec.workflows.groups import expand_groups
from comfyrec.workflows.page_nodes import GET, PRIMITIVE, SET, is_on_the_page_only
from comfyrec.workflows.texts import fill_in, first_choices
from comfyrec.workflows.widgets import ClassWidgets, has_widget

__all__ = ["Converted", "Converter", "to_prompt"]

_NESTED_MAX: Final = 50
"""Subgraphs inside each other; the page refuses circles, we stop here."""
_NODES_MAX: Final = 100_000
"""Nodes that a prompt may have, so that nested subgraphs cannot multiply without end."""
_HOPS_MAX: Final = 200
"""Reroutes, bypassed nodes and edges of subgraphs in a row; links in a circle end here."""
# Classes whose file name prefix may name the date and widgets of other nodes.
_SAVERS: Final = frozenset({
    "SaveImage", "SaveImageAdvanced", "SaveSVGNode", "SaveVideo", "SaveAnimatedWEBP", "SaveWEBM",
    "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced", "SaveGLB", "Save3DAdvanced",
    "SaveGaussianSplat", "SavePointCloud", "SaveAnimatedPNG", "CLIPSave", "VAESave", "ModelSave",
    "LoraSave", "SaveLatent",
})  # fmt: skip

Origin = tuple[str, int]
"""The id of a node of the prompt, and the number of its output."""


class Converted(msgspec.Struct, frozen=True):
    """A prompt, and what of the workflow could not be converted."""

    prompt: Mapping[str, Any]
    """In API format."""
    notes: Sequence[str] = ()
    """One sentence each."""
    unnamed: Sequence[str] = ()
    """Classes of which nothing is known and whose values have no names in the workflow; so some of
    their inputs are missing."""
    graphs: Sequence[Graph] = ()
    """The workflow as it was read: the root, then the subgraphs, groups of nodes among them."""


class _Value(msgspec.Struct, frozen=True):
    """What a widget of a subgraph's instance gives to an input inside."""

    value: Any


class _Place(msgspec.Struct, frozen=True):
    """One graph as it is used: the root, or a subgraph of one instance."""

    graph: Graph
    path: tuple[str, ...] = ()
    outer: _Place | None = None
    instance: Node | None = None

    def id_of(self, node: Node) -> str:
        return ":".join((*self.path, node.id))


def to_prompt(
    workflow: Mapping[str, Any],
    classes: Mapping[str, Any],
    *,
    where: str = "the workflow",
    now: datetime | None = None,
) -> Converted:
    """Convert a workflow as the page's "Export (API)" does.

    Args:
        workflow: with ``nodes`` and ``links``.
        classes: what ``/object_info`` of the server says. Nodes of classes that are not in it are
            converted by what the file says of them.
        where: how errors name the workflow.
        now: for ``%date:...%`` in file name prefixes; None leaves these as they are.

    Raises:
        WorkflowError: subgraphs contain each other without end, or nothing in it runs.
    """
    return Converter(classes).to_prompt(workflow, where=where, now=now)


class Converter:
    """Converts workflows; what it has found out of a class serves for the next one.

    Args:
        classes: as ``to_prompt`` takes them. They stay the same as long as this is used.
    """

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self._classes = classes
        self._widgets = ClassWidgets(classes)

    def to_prompt(
        self,
        workflow: Mapping[str, Any],
        *,
        where: str = "the workflow",
        now: datetime | None = None,
    ) -> Converted:
        """What the function of that name does."""
        graph, subgraphs = read_graph(expand_groups(workflow, self._classes))
        known = (self._classes, self._widgets)
        return _Conversion(graph, subgraphs, *known, where=where, now=now).converted()


class _Conversion:
    """One conversion: the graphs, the classes, and what has been found out so far."""

    def __init__(
        self,
        graph: Graph,
        subgraphs: Mapping[str, Subgraph],
        classes: Mapping[str, Any],
        widgets: ClassWidgets,
        *,
        where: str,
        now: datetime | None,
    ) -> None:
        self._root = _Place(graph)
        self._subgraphs = subgraphs
        self._classes = classes
        self._class_widgets = widgets
        self._where = where
        self._now = now
        self._inner: dict[tuple[str, ...], _Place] = {}
        self._own_values: dict[str, Mapping[str, Any]] = {}
        self._behind: dict[tuple[tuple[str, ...], int], _Value | None] = {}
        self._notes: dict[str, None] = {}
        self._guessed: dict[str, None] = {}
        self._unnamed: dict[str, None] = {}

    def converted(self) -> Converted:
        prompt: dict[str, Any] = {}
        for place, node in self._running(self._root):
            if len(prompt) >= _NODES_MAX:
                raise WorkflowError(self._where, f"it has more than {_NODES_MAX:,} nodes")
            prompt[place.id_of(node)] = {
                "inputs": self._inputs(place, node),
                "class_type": node.type,
                "_meta": {"title": node.title or self._title(node.type)},
            }
        if not prompt:
            raise WorkflowError(self._where, "no node of it runs: all are muted or notes")
        for entry in prompt.values():
            _drop_dead_links(entry["inputs"], prompt)
        if self._guessed:
            listed = ", ".join(sorted(self._guessed))
            self._notes[
                f"nothing is known of {listed}; the inputs are those that the workflow names"
            ] = None
        graphs = (self._root.graph, *self._subgraphs.values())
        return Converted(prompt, tuple(self._notes), sorted(self._unnamed), graphs)

    # --- which nodes run ---------------------------------------------------------------------

    def _running(self, place: _Place) -> Iterator[tuple[_Place, Node]]:
        for node in sorted(place.graph.nodes.values(), key=lambda node: node.order):
            if node.mode in (MUTED, BYPASSED):
                continue
            if node.type in self._subgraphs:
                yield from self._running(self._inside(place, node))
            elif not is_on_the_page_only(node.type, self._classes):
                yield place, node

    def _inside(self, place: _Place, instance: Node) -> _Place:
        path = (*place.path, instance.id)
        found = self._inner.get(path)
        if found is None:
            graph = self._subgraphs[instance.type]
            if len(path) > _NESTED_MAX:
                raise WorkflowError(self._where, "a subgraph of it contains itself")
            if len(self._inner) >= _NODES_MAX:
                raise WorkflowError(self._where, f"it has more than {_NODES_MAX:,} subgraphs")
            found = self._inner[path] = _Place(graph, path, place, instance)
        return found

    # --- what goes into a node ---------------------------------------------------------------

    def _inputs(self, place: _Place, node: Node) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for name, value in self._widgets(place, node).items():
            spec = self._spec(node, name)
            inputs[name] = _wrapped(self._sent(node, name, value, spec), spec)
        for slot in node.inputs:
            found = self._resolve(place, node, slot)
            if isinstance(found, _Value):
                inputs[slot.name] = _wrapped(found.value, self._spec(node, slot.name))
            elif found is not None:
                inputs[slot.name] = list(found)
        return inputs

    def _sent(self, node: Node, name: str, value: Any, spec: Sequence[Any]) -> Any:
        """A widget's value as the page sends it."""
        if not isinstance(value, str):
            return value
        if name == "filename_prefix" and node.type in _SAVERS and "%" in value:
            return fill_in(value, self._named_nodes(), self._now)
        options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
        return first_choices(value) if options.get("dynamicPrompts") else value

    def _named_nodes(self) -> Iterator[tuple[str, str, Callable[[], Mapping[str, Any]]]]:
        places = [self._root, *self._inner.values()]
        for place in places:
            for node in place.graph.nodes.values():
                name = node.properties.get("Node name for S&R", node.type)
                title = node.title or self._title(node.type)
                yield str(name), title, partial(self._widgets, place, node)

    def _widgets(self, place: _Place, node: Node) -> dict[str, Any]:
        """The values of a node's widgets, primitives and promoted widgets taken into account."""
        values = dict(self._values_of(node))
        if self._classes.get(node.type) is None:
            self._guessed[node.type] = None
            stored = () if isinstance(node.values, Mapping) else node.values
            # A button or a preview of the page is a value as well, but none that says something.
            told = [value for value in stored if value not in (None, "", "image")]
            if len(told) > len(values):
                self._unnamed[node.type] = None
        for slot in node.inputs:
            name = slot.widget or slot.name
            if name in values and (given := self._from_primitive(place, slot)) is not None:
                values[name] = given.value
        if place.instance is not None:
            values |= self._promoted(place, node, values)
        return values

    def _values_of(self, node: Node) -> Mapping[str, Any]:
        """The same, by what the node itself stores; no two nodes of a workflow share an id."""
        found = self._own_values.get(node.id)
        if found is None:
            found = self._own_values[node.id] = self._class_widgets.values(node)
        return found

    def _from_primitive(self, place: _Place, slot: Input) -> _Value | None:
        """What a primitive node at the other end of the link sets the widget to."""
        link = place.graph.links.get(slot.link) if slot.link is not None else None
        origin = place.graph.nodes.get(link.origin) if link is not None else None
        if origin is None or origin.type != PRIMITIVE or origin.mode == MUTED:
            return None
        values = origin.values
        if place.instance is not None:
            for entry, value in self._proxied(place.instance):
                if entry[0] == origin.id:
                    return value
        if isinstance(values, Mapping) or not values:
            return None
        return _Value(values[0])

    def _spec(self, node: Node, name: str) -> Sequence[Any]:
        return self._class_widgets.spec(node.type, name)

    def _title(self, class_type: str) -> str:
        node_class = self._classes.get(class_type)
        title = node_class.get("display_name") if isinstance(node_class, Mapping) else None
        return str(title or class_type)

    # --- widgets that a subgraph's instance shows --------------------------------------------

    def _promoted(self, place: _Place, node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values that the instance of a subgraph sets on a widget inside without a link."""
        assert place.instance is not None
        return {
            entry[1]: value.value
            for entry, value in self._proxied(place.instance)
            if entry[0] == node.id and entry[1] in values
        }

    def _proxied(self, instance: Node) -> Iterator[tuple[tuple[str, str], _Value]]:
        """``proxyWidgets`` of an instance: which widget inside, and its value here if stored."""
        entries = instance.properties.get("proxyWidgets")
        if not isinstance(entries, list) or isinstance(instance.values, Mapping):
            return
        for entry, value in zip(entries, instance.values, strict=False):
            if isinstance(entry, list) and len(entry) >= 2:
                yield (str(entry[0]), str(entry[1])), _Value(value)

    def _of_instance(self, place: _Place, slot_number: int) -> _Value | None:
        """The value of the widget that an instance shows for an input with nothing linked."""
        instance, outer = place.instance, place.outer
        assert instance is not None
        assert outer is not None
        subgraph = self._subgraphs[instance.type]
        shown = [
            number
            for number in range(len(subgraph.inputs))
            if self._widget_behind(place, number) is not None
        ]
        if slot_number not in shown:
            return None
        for entry, value in self._proxied(instance):
            if self._is_behind(place, slot_number, entry):
                return value
        name = subgraph.inputs[slot_number][0]
        if instance.named_values is not None and name in instance.named_values:
            return _Value(instance.named_values[name])
        at = shown.index(slot_number)
        proxied = isinstance(instance.properties.get("proxyWidgets"), list)
        if not proxied and not isinstance(instance.values, Mapping) and at < len(instance.values):
            return _Value(instance.values[at])
        return self._widget_behind(place, slot_number)

    def _widget_behind(self, place: _Place, slot_number: int) -> _Value | None:
        """The first widget inside that an input of the subgraph leads to, with its own value."""
        key = (place.path, slot_number)
        if key not in self._behind:
            self._behind[key] = self._find_behind(place, slot_number)
        return self._behind[key]

    def _find_behind(self, place: _Place, slot_number: int) -> _Value | None:
        subgraph = place.graph
        assert isinstance(subgraph, Subgraph)
        for node, slot in _targets(subgraph, slot_number):
            if node.type in self._subgraphs:
                number = _slot_number(self._subgraphs[node.type], slot.name)
                if number is None:
                    continue
                found = self._of_instance(self._inside(place, node), number)
                if found is not None:
                    return found
                continue
            if self._is_widget(node, slot):
                values = self._values_of(node)
                name = slot.widget or slot.name
                if name in values:
                    return _Value(values[name])
        return None

    def _is_behind(self, place: _Place, slot_number: int, entry: tuple[str, str]) -> bool:
        subgraph = place.graph
        assert isinstance(subgraph, Subgraph)
        source, name = entry
        if source == "-1":
            return subgraph.inputs[slot_number][0] == name
        return any(
            node.id == source and name in (slot.widget, slot.name)
            for node, slot in _targets(subgraph, slot_number)
        )

    def _is_widget(self, node: Node, slot: Input) -> bool:
        spec = self._spec(node, slot.name)
        return has_widget(spec) if spec else slot.widget is not None

    # --- following links backwards -----------------------------------------------------------

    def _resolve(
        self, place: _Place, node: Node, slot: Input, kind: str | None = None, hops: int = 0
    ) -> Origin | _Value | None:
        """Where an input comes from; None when nothing that runs is at the other end."""
        if slot.link is None or hops > _HOPS_MAX:
            return None
        link = place.graph.links.get(slot.link)
        if link is None:
            return None
        if isinstance(place.graph, Subgraph) and link.origin == place.graph.input_node:
            return self._from_outside(place, link.origin_slot, kind or slot.type, hops + 1)
        origin = place.graph.nodes.get(link.origin)
        if origin is None:
            return None
        return self._output(place, origin, link.origin_slot, kind or slot.type, hops + 1)

    def _from_outside(
        self, place: _Place, slot_number: int, kind: str, hops: int
    ) -> Origin | _Value | None:
        instance, outer = place.instance, place.outer
        assert instance is not None
        assert outer is not None
        subgraph = self._subgraphs[instance.type]
        if slot_number >= len(subgraph.inputs):
            return None
        name = subgraph.inputs[slot_number][0]
        slot = next((one for one in instance.inputs if one.name == name), None)
        if slot is None or slot.link is None:
            return self._of_instance(place, slot_number)
        return self._resolve(outer, instance, slot, None, hops)

    def _output(
        self, place: _Place, node: Node, slot_number: int, kind: str, hops: int
    ) -> Origin | _Value | None:
        if node.mode == MUTED or hops > _HOPS_MAX:
            return None
        if node.mode == BYPASSED:
            slot = _bypass(node, slot_number, kind)
            return self._resolve(place, node, slot, None, hops + 1) if slot is not None else None
        if node.type in self._subgraphs:
            return self._from_inside(place, node, slot_number, kind, hops + 1)
        if not is_on_the_page_only(node.type, self._classes):
            return place.id_of(node), slot_number
        if node.type == GET:
            return self._from_set(place, node, kind, hops + 1)
        if slot_number < len(node.inputs):
            return self._resolve(place, node, node.inputs[slot_number], kind, hops + 1)
        return None

    def _from_inside(
        self, place: _Place, instance: Node, slot_number: int, kind: str, hops: int
    ) -> Origin | _Value | None:
        inside = self._inside(place, instance)
        subgraph = self._subgraphs[instance.type]
        if slot_number >= len(subgraph.outputs):
            return None
        for number in subgraph.outputs[slot_number][2][:1]:
            link = subgraph.links.get(number)
            if link is None:
                continue
            if link.origin == subgraph.input_node:
                return self._from_outside(inside, link.origin_slot, kind, hops)
            origin = subgraph.nodes.get(link.origin)
            if origin is not None:
                return self._output(inside, origin, link.origin_slot, kind, hops)
        return None

    def _from_set(self, place: _Place, node: Node, kind: str, hops: int) -> Origin | _Value | None:
        """A GetNode gives what goes into the SetNode of the same name."""
        name = node.values[0] if not isinstance(node.values, Mapping) and node.values else None
        for other in place.graph.nodes.values():
            values = other.values
            same = not isinstance(values, Mapping) and values and values[0] == name
            if other.type == SET and same and other.inputs:
                return self._resolve(place, other, other.inputs[0], kind, hops)
        return None


def _targets(subgraph: Subgraph, slot_number: int) -> Iterator[tuple[Node, Input]]:
    """The inputs inside that an input of the subgraph is linked to, in order."""
    for number in subgraph.inputs[slot_number][2]:
        link = subgraph.links.get(number)
        node = subgraph.nodes.get(link.target) if link is not None else None
        if node is None:
            continue
        for slot in node.inputs:
            if slot.link == number:
                yield node, slot


def _slot_number(subgraph: Subgraph, name: str) -> int | None:
    return next((number for number, (one, _, _) in enumerate(subgraph.inputs) if one == name), None)


def _bypass(node: Node, slot_number: int, kind: str) -> Input | None:
    """The input whose value a bypassed node hands on."""
    inputs = node.inputs
    if not inputs:
        return None
    if kind in ("*", ""):
        return inputs[slot_number] if slot_number < len(inputs) else inputs[0]
    given = node.output_types[slot_number] if slot_number < len(node.output_types) else "*"
    if slot_number < len(inputs):
        same = inputs[slot_number]
        if _fits(same.type, given) and _fits(same.type, kind):
            return same
    exact = next((one for one in inputs if one.type == kind), None)
    if exact is not None:
        return exact
    return next((one for one in inputs if _fits(one.type, given) and _fits(one.type, kind)), None)


def _fits(one: str, other: str) -> bool:
    """Whether two slots may be linked: a type, several with commas between, or any."""
    if "*" in (one, other):
        return True
    ours = {part.strip().lower() for part in one.split(",")}
    return not ours.isdisjoint(part.strip().lower() for part in other.split(","))


def _wrapped(value: Any, spec: Sequence[Any]) -> Any:
    """A list as a literal, so that nobody takes it for a link."""
    if value is not None and spec and spec[0] == "CURVE":
        return {"__type__": "CURVE", "__value__": value}
    return {"__value__": value} if isinstance(value, list) else value


def _drop_dead_links(inputs: dict[str, Any], prompt: Mapping[str, Any]) -> None:
    for name, value in list(inputs.items()):
        if isinstance(value, list) and len(value) == 2 and value[0] not in prompt:
            del inputs[name]
