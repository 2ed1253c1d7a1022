"""What calls of a node are given and give back, as plain data: slices, merged items, texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fake_server.nodes.call import function_of
from fake_server.nodes.catalogue import NodeClass
from fake_server.nodes.values import ITEMS_MAX, Blocker, NodeFailed, Value, is_link
from fake_server.simulator.node_plan import NodePlan

__all__ = [
    "NodeAtWork",
    "Returned",
    "blocker_in",
    "merged",
    "merged_ui",
    "prefixed",
    "preview_size",
    "printed",
    "slices",
]

# Sampler previews are scaled to fit this, upwards too (--preview-size of the real server).
PREVIEW_SIDE = 512


class Returned(msgspec.Struct):
    """What one call of a node gave back."""

    outputs: list[Any] | None = None
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Mapping[str, Any]] | None = None
    blocked: bool = False
    """Nothing ran: the call was given a blocker."""


class NodeAtWork(msgspec.Struct):
    """A node while it runs."""

    id: str
    kind: NodeClass
    plan: NodePlan
    given: dict[str, list[Any]]
    missing: set[str]


def slices(node: NodeAtWork) -> Iterator[dict[str, Any]]:
    """The inputs of each call: one per item, the last item repeated where a list is shorter."""
    given = node.given
    if node.kind.input_is_list:
        yield {name: list(items) for name, items in given.items()}
        return
    calls = max((len(items) for items in given.values()), default=0)
    if given and not calls:
        raise NodeFailed("TypeError", _called_with_nothing(node.kind))
    if not all(given.values()):
        raise NodeFailed("IndexError", "list index out of range")
    for index in range(min(calls, ITEMS_MAX)):
        yield {name: items[min(index, len(items) - 1)] for name, items in given.items()}
    if not calls:
        yield {}


def _called_with_nothing(kind: NodeClass) -> str:
    # Lists without items leave a node's function without arguments.
    names = [repr(each.name) for each in kind.inputs.values() if each.required]
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])}, and {names[-1]}"
    plural = "s" if len(names) != 1 else ""
    what = f"{len(names)} required positional argument{plural}: {listed}"
    return f"{kind.name}.{function_of(kind)}() missing {what}"


def blocker_in(given: Mapping[str, Any]) -> Blocker | None:
    for one in given.values():
        if isinstance(one, Blocker):
            return one
        if isinstance(one, list):
            for item in one:
                if isinstance(item, Blocker):
                    return item
    return None


def merged_ui(returned: Sequence[Returned]) -> Mapping[str, Any]:
    uis = [one.ui for one in returned if one.ui]
    if len(uis) < 2:
        return uis[0] if uis else {}
    return {key: [item for ui in uis for item in ui.get(key, ())] for key in uis[0]}


def merged(returned: Sequence[Returned], kind: NodeClass) -> list[list[Any]]:
    """The outputs of all calls: items in a row, lists joined."""
    calls = [one.outputs for one in returned if one.outputs is not None]
    if not calls:
        return []
    merged: list[list[Any]] = []
    for slot in range(len(calls[0])):
        is_list = slot < len(kind.output_is_list) and kind.output_is_list[slot]
        row: list[Any] = []
        for outputs in calls:
            if slot >= len(outputs):
                raise NodeFailed("IndexError", "tuple index out of range")
            one = outputs[slot]
            row += one if is_list and isinstance(one, list) else [one]
        merged.append(row[:ITEMS_MAX])
    return merged


def prefixed(
    plan: NodePlan, node_id: str, call: int
) -> tuple[dict[str, Mapping[str, Any]], list[Any]]:
    """The planned graph of one call with ids as GraphBuilder makes them, and the results into it.

    A plan may write the ids in full (``2.0.0.1``) or only their last part (``1``). What it writes
    for one call holds for those that it does not write of.
    """
    assert plan.expand is not None
    written = re.compile(rf"{re.escape(node_id)}\.(\d+)\.0\.(.+)", re.DOTALL)
    parts = {one: written.fullmatch(one) for one in plan.expand}
    calls = {int(match[1]) for match in parts.values() if match}
    taken = call if call in calls else min(calls, default=call)
    own = {
        one: f"{node_id}.{call}.0.{match[2] if match else one}"
        for one, match in parts.items()
        if match is None or int(match[1]) == taken
    }

    def moved(value: Any) -> Any:
        return [own.get(value[0], value[0]), value[1]] if is_link(value) else value

    def elsewhere(value: Any) -> bool:
        return is_link(value) and value[0] in parts and value[0] not in own

    graph: dict[str, Mapping[str, Any]] = {
        new: {
            **plan.expand[one],
            "inputs": {name: moved(v) for name, v in plan.expand[one]["inputs"].items()},
        }
        for one, new in own.items()
    }
    return graph, [moved(value) for value in plan.result if not elsewhere(value)]


def preview_size(seen: Any) -> tuple[int, int]:
    """The size of a sampler's preview: scaled to fit, upwards too."""
    width, height = (seen.width, seen.height) if isinstance(seen, Value) else (0, 0)
    if not width or not height:
        return PREVIEW_SIDE, PREVIEW_SIDE
    longest = max(width, height)
    return max(1, width * PREVIEW_SIDE // longest), max(1, height * PREVIEW_SIDE // longest)


def printed(one: Any) -> Any:
    """An input as ``current_inputs`` shows it: scalars as they are, the rest as text."""
    if isinstance(one, Value):
        if not one.known:
            return (
                f"tensor of {one.batch} x {one.height} x {one.width}" if one.width else "<object>"
            )
        one = one.literal
    if one is None or isinstance(one, (int, float, bool, str)):
        return one
    try:
        return str(one)
    except RecursionError:
        return "..."
