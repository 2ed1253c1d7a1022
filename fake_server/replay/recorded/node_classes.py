"""timeline -> the node classes of the recorded server, as far as the recording shows them.

What GET /object_info said stands first. A class that it did not describe is taken as ComfyUI's own
node of that name has it in the recorded version, and any other class as the recorded graphs use it.
Where nobody asked the server for all its classes, it counts as having those of its version, but for
those of which it said that it has them not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.timeline import Timeline
from comfyrec.versions import Era
from fake_server.nodes.catalogue import Catalogue

__all__ = ["NodeClasses", "node_classes_of"]


class NodeClasses(msgspec.Struct, frozen=True):
    """What is known of the classes of a recorded server."""

    info: Mapping[str, Mapping[str, Any]]
    """As GET /object_info answers."""
    described: frozenset[str]
    """The classes of which the recorded server itself said what they are."""
    guessed: frozenset[str] = frozenset()
    """The classes that are known from their use in the recorded graphs alone."""
    complete: bool = False
    """Whether the recorded server itself said which classes it has."""

    def catalogue(self) -> Catalogue:
        """The same, to validate and to run prompts with."""
        return Catalogue.of_entries(self.info)


class _Entries(Mapping[str, Mapping[str, Any]]):
    """Class -> its entry. Of the many classes of a version few are asked for, when they are."""

    def __init__(
        self, known: Catalogue, inherited: Iterable[str], own: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._known, self._own = known, own
        self._names = dict.fromkeys([*inherited, *own])

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        found = self._own.get(name)
        if found is None and name in self._names:
            found = self._known.info(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def node_classes_of(timeline: Timeline, era: Era, more: Catalogue | None = None) -> NodeClasses:
    """The classes of a recording.

    Args:
        timeline: the recording.
        era: of the recorded server.
        more: classes that it has as well; they stand in the place of those of its version.
    """
    described, complete = {}, False
    for path, name, info in _described(timeline):
        described[name] = info
        complete = complete or path == _ALL
    known = Catalogue.core(era) if more is None else more
    inherited: list[str] = []
    if more is not None or not complete:
        missing = set(_missing(timeline))
        inherited = [name for name in known if name not in missing]
    used = {
        name: known.info(name) or entry
        for name, entry in _used(timeline).items()
        if name not in described
    }
    entries = _Entries(known, inherited, {**used, **described})
    guessed = frozenset(name for name in used if name not in known)
    return NodeClasses(entries, frozenset(described), guessed, complete)


_ALL: Final = "/object_info"


def _described(timeline: Timeline) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(path that was asked, class, its entry)."""
    for path, answer in _object_infos(timeline):
        for name, info in answer.items():
            if _is_entry(info):
                yield path, name, info


def _is_entry(info: Any) -> bool:
    """Whether it has the outline of a node class; a recording may hold anything."""
    if not isinstance(info, Mapping) or not ("input" in info or "output" in info):
        return False
    sections = info.get("input", {})
    return (
        isinstance(sections, Mapping)
        and all(isinstance(section or {}, Mapping) for section in sections.values())
        and isinstance(info.get("output") or (), (list, tuple))
    )


def _object_infos(timeline: Timeline) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for exchange in timeline.exchanges:
        path = exchange.path
        if exchange.method != "GET" or exchange.status != 200:
            continue
        if path == _ALL or path.startswith(f"{_ALL}/"):
            answer = exchange.response_json
            if isinstance(answer, dict):
                yield path, answer


_MISSING: Final = re.compile(r"because node (.+) does not exist", re.DOTALL)
"""In the refusals of the versions that do not name the class in a field of its own."""


def _missing(timeline: Timeline) -> Iterator[str]:
    """The classes that the recorded server was asked about, and said that it has them not."""
    for path, answer in _object_infos(timeline):
        if not answer and path != _ALL:
            yield path.removeprefix(f"{_ALL}/")
    for exchange in timeline.exchanges:
        if exchange.method != "POST" or exchange.path != "/prompt" or exchange.status != 400:
            continue
        answer = exchange.response_json
        error = answer.get("error") if isinstance(answer, dict) else None
        if not isinstance(error, dict):
            error = {"message": error}
        extra = error.get("extra_info")
        if error.get("type") == "missing_node_type" and isinstance(extra, dict):
            yield str(extra.get("class_type"))
        elif found := _MISSING.search(str(error.get("message"))):
            yield found[1]


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
