"""the text of a file -> a workflow in API format, or the reason why it is none.

Also what a runner and a middleware ask of a graph: a summary, which nodes load an image, which
hold the positive or the negative text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from comfyrec.errors import WorkflowError
from comfyrec.wording import plural, shortened

__all__ = [
    "ROLES",
    "Workflow",
    "image_nodes",
    "of",
    "read",
    "summary",
    "text_nodes",
    "with_image",
    "with_text",
]

Graph = dict[str, dict[str, Any]]

ROLES = ("positive", "negative")

_TEXT_INPUTS = ("text", "prompt", "text_g", "text_l", "clip_l", "t5xxl")
"""Inputs that hold what is to be seen, in the core's text encoders."""

_ENVELOPE = (
    "extra_data",
    "front",
    "number",
    "partial_execution_targets",
    "workflow_metadata",
)
"""What else of a whole POST body is worth keeping; ``client_id`` and ``prompt_id`` are ours."""


class Workflow(msgspec.Struct, frozen=True):
    """A graph in API format, and what came with it."""

    graph: Graph
    extra: dict[str, Any] = {}
    """Other fields of a whole ``POST /prompt`` body: ``extra_data``, ``front``, ..."""


def read(text: str | bytes, *, where: str) -> Workflow:
    """Read the text of a workflow file.

    Args:
        text: JSON; ``NaN`` and ``Infinity`` are accepted, as ComfyUI does.
        where: the file's name, for the error.

    Raises:
        WorkflowError: not JSON, the UI format, empty, or entries that are not nodes.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as broken:
        place = ""
        if isinstance(broken, json.JSONDecodeError) and text:
            place = f" from line {broken.lineno}, column {broken.colno} on"
        raise WorkflowError(
            where, f"not JSON{place}; give a workflow that ComfyUI saved, or a picture with one"
        ) from None
    return of(value, where=where)


def of(value: object, *, where: str = "workflow") -> Workflow:
    """A workflow from the content of such a file: the bare graph, or one inside ``prompt``.

    Raises:
        WorkflowError: the UI format, empty, or entries that are not nodes.
    """
    extra: dict[str, Any] = {}
    if isinstance(value, dict) and _is_wrapper(value):
        extra = {key: value[key] for key in _ENVELOPE if key in value}
        value = value["prompt"]
    if not isinstance(value, dict):
        raise WorkflowError(where, "a workflow must be a JSON object of nodes by id")
    _refuse_ui_format(value, where)
    if not value:
        raise WorkflowError(where, "the workflow has no nodes")
    for node_id, node in value.items():
        _check_node(where, node_id, node)
    return Workflow({str(node_id): node for node_id, node in value.items()}, extra)


def _is_wrapper(value: dict[str, Any]) -> bool:
    """A POST body or a saved ``{"prompt": {...}}``; a node of that id has a ``class_type``."""
    inner = value.get("prompt")
    return isinstance(inner, dict) and "class_type" not in inner


def _refuse_ui_format(value: dict[str, Any], where: str) -> None:
    if isinstance(value.get("nodes"), list):
        raise WorkflowError(
            where,
            "this is the UI format (it has 'nodes' and 'links'), which a server cannot run; "
            "export it with 'Workflow > Export (API)' in ComfyUI, or 'comfyrec convert' it",
        )


def _check_node(where: str, node_id: str, node: object) -> None:
    if not isinstance(node, dict):
        raise WorkflowError(where, f"'{node_id}' is not a node: it must be an object")
    if not isinstance(node.get("class_type"), str):
        raise WorkflowError(where, f"node '{node_id}' has no class_type")
    if not isinstance(node.get("inputs", {}), dict):
        raise WorkflowError(where, f"node '{node_id}': inputs must be an object")


def summary(workflow: Workflow, *, where: str) -> str:
    """A few lines for a person: how many nodes of which class, and the texts."""
    classes = Counter(str(node["class_type"]) for node in workflow.graph.values())
    named = ", ".join(f"{n} x {name}" if n > 1 else name for name, n in classes.most_common(8))
    more = ", ..." if len(classes) > 8 else ""
    lines = [f"{where}: {plural(len(workflow.graph), 'node')} ({named}{more})"]
    for role in ROLES:
        lines += [
            f"  {role} text (node {node_id}): {shortened(_text_of(workflow, node_id), 70)}"
            for node_id in text_nodes(workflow.graph, role)
        ]
    return "\n".join(lines)


def _text_of(workflow: Workflow, node_id: str) -> str:
    """In one line."""
    inputs = workflow.graph[node_id].get("inputs", {})
    text = next((inputs[key] for key in _TEXT_INPUTS if isinstance(inputs.get(key), str)), "")
    return " ".join(text.split())


# --- texts -----------------------------------------------------------------------------------


def text_nodes(graph: Mapping[str, dict[str, Any]], role: str) -> list[str]:
    """Ids of the nodes that hold the ``positive`` or ``negative`` text.

    A node whose title says the role counts first; else what a ``positive`` or ``negative`` input
    somewhere in the graph leads to, however many nodes (ControlNet, combine, ...) lie between.
    """
    titled = [n for n, node in graph.items() if role in _title(node) and _holds_text(node)]
    if titled:
        return titled
    found: dict[str, None] = {}
    for node in graph.values():
        source = _link(node.get("inputs", {}).get(role))
        for node_id in _upstream_texts(graph, source, role):
            found[node_id] = None
    return list(found)


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title", "")).lower() if isinstance(meta, dict) else ""


def _holds_text(node: Mapping[str, Any]) -> bool:
    inputs = node.get("inputs", {})
    return any(isinstance(inputs.get(key), str) for key in _TEXT_INPUTS)


def _link(value: object) -> str | None:
    """The node a link comes from; ``None`` for a literal."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
        return str(value[0])
    return None


def _upstream_texts(
    graph: Mapping[str, dict[str, Any]], start: str | None, role: str
) -> Iterator[str]:
    waiting, seen = [start], set()
    while waiting:
        node_id = waiting.pop()
        if node_id is None or node_id in seen or node_id not in graph:
            continue
        seen.add(node_id)
        node = graph[node_id]
        if _holds_text(node):
            yield node_id
            continue
        inputs = node.get("inputs", {})
        # A node with both inputs (ControlNetApply) passes each role on by itself.
        follow = [inputs[role]] if role in inputs else list(inputs.values())
        waiting.extend(_link(value) for value in follow)


def with_text(graph: Graph, node_id: str, text: str) -> Graph:
    """The graph with another text in a node.

    Raises:
        KeyError: no such node.
        ValueError: the node has no text of its own.
    """
    node = graph[node_id]
    if not _holds_text(node):
        raise ValueError(f"node {node_id} ({node['class_type']}) has no text of its own")
    inputs = dict(node["inputs"])
    for key in _TEXT_INPUTS:
        if isinstance(inputs.get(key), str):
            inputs[key] = text
    return {**graph, node_id: {**node, "inputs": inputs}}


# --- images ----------------------------------------------------------------------------------


def image_nodes(graph: Mapping[str, dict[str, Any]]) -> list[str]:
    """Ids of the nodes that load an uploaded image: LoadImage, LoadImageMask and their kin."""
    return [
        node_id
        for node_id, node in graph.items()
        if str(node["class_type"]).startswith("LoadImage")
        and isinstance(node.get("inputs", {}).get("image"), str)
    ]


def with_image(graph: Graph, node_ids: list[str], name: str, subfolder: str = "") -> Graph:
    """The graph with the uploaded image ``subfolder/name`` in each of the nodes."""
    value = f"{subfolder.rstrip('/')}/{name}" if subfolder else name
    changed = dict(graph)
    for node_id in node_ids:
        node = graph[node_id]
        changed[node_id] = {**node, "inputs": {**node["inputs"], "image": value}}
    return changed
