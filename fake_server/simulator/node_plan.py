"""Scenario parameters -> what each node of a prompt does: its time, progress, outputs, failure.

A plan speaks of nodes by id (``nodes``) and by class (``classes``); what it says of an id wins over
what it says of the class, key by key. Everything it does not say, a node does as the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.errors import ScenarioError
from comfyrec.wording import did_you_mean

__all__ = ["KEYS", "NodePlan", "NodePlans", "PlanFor", "Previews", "UnfitPlan", "always", "beneath"]

STEPS_MAX: Final = 100_000
IMAGES_MAX: Final = 4_096
SIDE_MAX: Final = 16_384  # MAX_RESOLUTION of ComfyUI
SECONDS_MAX: Final = 31_536_000.0
_PARSED_MAX: Final = 10_000


class UnfitPlan(ScenarioError):
    """A plan for a node that the prompt does not have."""

    def __init__(self, node_id: str, nodes: Iterable[str]) -> None:
        super().__init__(node_id)
        self.node_id = node_id
        self.nodes = tuple(nodes)

    def __str__(self) -> str:
        near = _nearest(self.node_id, self.nodes)
        return (
            f"the plan speaks of node {self.node_id!r}, which this prompt does not have{near}; "
            f"it has {', '.join(map(repr, self.nodes[:20])) or 'no nodes'}"
        )


class Previews(msgspec.Struct, frozen=True):
    """A picture with each progress update; ``format`` is ``jpeg`` or ``png``."""

    format: str = "jpeg"
    size: tuple[int, int] = (512, 512)


class NodePlan(msgspec.Struct, frozen=True):
    """What one node does. None means: as the real node would."""

    seconds: float | None = None
    """How long it runs."""
    at_least: bool = False
    """In a lifelike run ``seconds`` is a minimum: a node that takes longer there does so."""
    steps: int | None = None
    """Progress updates spread over that time, with the values 1 to ``steps``."""
    fails: tuple[str, str] | None = None
    """``exception_type`` and message of the exception at the end of its time (key ``raise``)."""
    images: int | None = None
    size: tuple[int, int] | None = None
    ui: Mapping[str, Any] | None = None
    previews: Previews | None = None
    uncached: bool = False
    blocks: bool = False
    block: str | None = None
    """With ``blocks``: the message that travels with the block, or None for a silent one."""
    expand: Mapping[str, Any] | None = None
    result: tuple[Any, ...] = ()
    """With ``expand``: what the expanding node's outputs become, links or values."""
    needs: tuple[str, ...] | None = None
    deaf: bool = False
    """An interrupt is only seen at a progress update and at the next node."""
    parallel: bool = False
    """An async node: others run while it waits (key ``async``)."""
    items: int | None = None
    """How many items a node with list outputs makes."""
    text: str | None = None
    """Text shown on the node, as a binary frame of type 3 to every socket."""
    activity: str | None = None
    """A word for what it is busy with, shown while it runs by servers from about 0.38 on."""
    events: tuple[tuple[str, Any, bool], ...] = ()
    """Events of an extension's own type, sent while the node runs, and whether to everybody."""

    @property
    def decides_outcome(self) -> bool:
        """Whether it says what the node comes to, however that is called."""
        return bool(self.fails or self.expand or self.blocks)

    @property
    def duration_us(self) -> int:
        """``seconds`` in microseconds; 0 if not given."""
        return round((self.seconds or 0.0) * 1_000_000)


_UNPLANNED: Final = NodePlan()


class NodePlans:
    """What the nodes of a prompt do.

    Args:
        nodes: by node id, in the keys of a plan.
        classes: by class.
        strict: a prompt that lacks one of the planned ids is refused. Without it several workflows
            may run under one plan; which ids a prompt does not have is said in its answer.
        lifelike: nodes without a planned time take as long as such nodes take on a real server.

    Raises:
        ScenarioError: an unknown key or a wrong value; the entry and the key are named.
    """

    def __init__(
        self,
        nodes: Mapping[str, Mapping[str, Any]] | None = None,
        classes: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        strict: bool = False,
        lifelike: bool = False,
    ) -> None:
        self.nodes = _table("nodes", nodes)
        self.classes = _table("classes", classes)
        self.strict = strict
        self.lifelike = lifelike
        self._parsed: dict[tuple[str, str], NodePlan] = {}
        # Every entry is read once now, so that a wrong one is known before a prompt comes.
        for where, table in (("nodes", self.nodes), ("classes", self.classes)):
            for key, entry in table.items():
                _node_plan(f"{where}.{key}", entry)

    def of(self, node_id: str, class_type: str) -> NodePlan:
        """What a node does."""
        if not self.nodes and not self.classes:
            return _UNPLANNED
        found = self._parsed.get((node_id, class_type))
        if found is None:
            entry = {**self.classes.get(class_type, {}), **self.nodes.get(node_id, {})}
            found = _node_plan(f"nodes.{node_id}", entry) if entry else _UNPLANNED
            self._parsed[node_id, class_type] = found
            # Node ids come from prompts: a server that runs for long must not keep them all.
            if len(self._parsed) > _PARSED_MAX:
                self._parsed.clear()
        return found

    def missing(self, node_ids: Collection[str]) -> list[str]:
        """The planned ids that a prompt with these nodes does not have.

        Raises:
            UnfitPlan: there are some, and the plan is strict.
        """
        missing = [key for key in self.nodes if not _is_there(key, node_ids)]
        if missing and self.strict:
            raise UnfitPlan(missing[0], node_ids)
        return missing


PlanFor = Callable[[Mapping[str, Any], Any], NodePlans]
"""The graph of a prompt and the client id that it was posted with -> what its nodes do."""


def beneath(plan_for: PlanFor, classes: Mapping[str, Mapping[str, Any]]) -> PlanFor:
    """The same plans, and for what they do not say of a class, these."""

    def with_classes(graph: Mapping[str, Any], client_id: Any) -> NodePlans:
        plans = plan_for(graph, client_id)
        more = {
            name: {**classes.get(name, {}), **plans.classes.get(name, {})}
            for name in {**classes, **plans.classes}
        }
        return NodePlans(plans.nodes, more, strict=plans.strict, lifelike=plans.lifelike)

    return with_classes


def always(plans: NodePlans) -> PlanFor:
    """The same plans for every prompt."""
    return lambda graph, client_id: plans


def _is_there(key: str, node_ids: Collection[str]) -> bool:
    # '2.0.0.1' is a node that '2' expands into; it comes while '2' runs.
    return key in node_ids or ("." in key and any(key.startswith(f"{one}.") for one in node_ids))


def _table(name: str, given: Any) -> Mapping[str, Mapping[str, Any]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(v, Mapping) for v in given.values()):
        raise ScenarioError(f"{name}: give an object of objects, such as {{'3': {{'seconds': 1}}}}")
    return {str(key): value for key, value in given.items()}


def _nearest(word: str, words: Iterable[str]) -> str:
    hint = did_you_mean(word, words, otherwise="")
    return f" ({hint})" if hint else ""


def _node_plan(where: str, entry: Mapping[str, Any]) -> NodePlan:
    fields: dict[str, Any] = {}
    for key, value in entry.items():
        read = KEYS.get(key)
        if read is None:
            raise ScenarioError(
                f"{where}: no plan key {key!r}{_nearest(str(key), KEYS)}; "
                f"there are {', '.join(KEYS)}"
            )
        fields |= read(f"{where}.{key}", value)
    return NodePlan(**fields)


# --- one reader per key ----------------------------------------------------------------------


def _wrong(where: str, wanted: str, value: Any) -> ScenarioError:
    return ScenarioError(f"{where}: give {wanted}, not {str(value)[:80]!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _seconds(where: str, value: Any) -> dict[str, Any]:
    if not _is_number(value) or not 0 <= value <= SECONDS_MAX:
        raise _wrong(where, "a number of seconds from 0", value)
    return {"seconds": float(value)}


def _count(field: str, most: int) -> Any:
    def read(where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise _wrong(where, f"a whole number from 0 to {most}", value)
        return {field: value}

    return read


def _flag(field: str) -> Any:
    def read(where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, bool):
            raise _wrong(where, "true or false", value)
        return {field: value}

    return read


def _fails(where: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"fails": ("RuntimeError", value)}
    if not isinstance(value, Mapping) or not set(value) <= {"type", "message"}:
        raise _wrong(where, "{'type': ..., 'message': ...}", value)
    return {"fails": (str(value.get("type", "RuntimeError")), str(value.get("message", "")))}


def _pair(where: str, value: Any) -> tuple[int, int]:
    sides = list(value) if isinstance(value, (list, tuple)) else []
    if len(sides) != 2 or not all(isinstance(n, int) and 1 <= n <= SIDE_MAX for n in sides):
        raise _wrong(where, f"[width, height] from 1 to {SIDE_MAX}", value)
    return sides[0], sides[1]


def _ui(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "the node's whole output, such as {'text': ['a']}", value)
    return {"ui": dict(value)}


def _previews(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {"previews": None}
    if not isinstance(value, Mapping) or not set(value) <= {"format", "size"}:
        raise _wrong(where, "{'format': 'jpeg', 'size': [w, h]}", value)
    kind = str(value.get("format", "jpeg")).lower().replace("jpg", "jpeg")
    if kind not in ("jpeg", "png"):
        raise _wrong(f"{where}.format", "jpeg or png", value["format"])
    size = _pair(f"{where}.size", value["size"]) if "size" in value else (512, 512)
    return {"previews": Previews(format=kind, size=size)}


def _block(where: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, str):
        raise _wrong(where, "null or a message", value)
    return {"blocks": True, "block": value}


def _expand(where: str, value: Any) -> dict[str, Any]:
    graph = value.get("graph") if isinstance(value, Mapping) else None
    if not isinstance(graph, Mapping) or not all(
        isinstance(node, Mapping) and isinstance(node.get("class_type"), str)
        for node in graph.values()
    ):
        raise _wrong(where, "{'graph': {id: {'class_type', 'inputs'}}, 'result': [...]}", value)
    result = value.get("result", [])
    if not isinstance(result, (list, tuple)):
        raise _wrong(f"{where}.result", "a list of links or values, one for each output", result)
    nodes = {str(key): {"inputs": {}, **node} for key, node in graph.items()}
    return {"expand": nodes, "result": tuple(result)}


def _needs(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise _wrong(where, "a list of input names", value)
    return {"needs": tuple(value)}


def _text(field: str) -> Any:
    def read(where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            raise _wrong(where, "a text", value)
        return {field: value}

    return read


def _events(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (list, tuple)) or not all(map(_is_event, value)):
        raise _wrong(where, "a list of [type, data] or [type, data, 'all']", value)
    return {"events": tuple((one[0], one[1], len(one) == 3) for one in value)}


def _is_event(one: Any) -> bool:
    if not isinstance(one, (list, tuple)) or len(one) not in (2, 3):
        return False
    return isinstance(one[0], str) and list(one[2:]) in ([], ["all"])


KEYS: Final[dict[str, Any]] = {
    "seconds": _seconds,
    "at_least": _flag("at_least"),
    "steps": _count("steps", STEPS_MAX),
    "raise": _fails,
    "images": _count("images", IMAGES_MAX),
    "size": lambda where, value: {"size": _pair(where, value)},
    "ui": _ui,
    "previews": _previews,
    "uncached": _flag("uncached"),
    "block": _block,
    "expand": _expand,
    "needs": _needs,
    "deaf": _flag("deaf"),
    "async": _flag("parallel"),
    "items": _count("items", IMAGES_MAX),
    "text": _text("text"),
    "activity": _text("activity"),
    "events": _events,
}
"""What an entry of a plan may say, with the reader of each value."""
