"""Prompts that scenarios submit, what their nodes shall do, and where in a graph a node stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = [
    "PLAIN",
    "TWO_OUTPUTS",
    "WITH_UPLOAD",
    "GraphPlan",
    "chain",
    "links",
    "middle",
    "other_outputs",
    "planned",
    "sinks",
    "slow",
]

Graph = Mapping[str, Any]

GraphPlan = Callable[[Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]
"""The graph of a prompt -> what its nodes shall do, by node id, in the plan's keys."""

_EMPTY: Final = {
    "class_type": "EmptyImage",
    "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 4210752},
    "_meta": {"title": "Empty"},
}
_INVERT: Final = {
    "class_type": "ImageInvert",
    "inputs": {"image": ["1", 0]},
    "_meta": {"title": "Invert"},
}

PLAIN: Final[Graph] = {
    "1": _EMPTY,
    "2": _INVERT,
    "9": {
        "class_type": "SaveImage",
        "inputs": {"images": ["2", 0], "filename_prefix": "ComfyUI"},
        "_meta": {"title": "Result"},
    },
}
"""What is submitted where a scenario does not name its own: a picture is made and saved."""

TWO_OUTPUTS: Final[Graph] = {
    **PLAIN,
    "8": {
        "class_type": "PreviewImage",
        "inputs": {"images": ["1", 0]},
        "_meta": {"title": "Preview"},
    },
}
"""A preview of the raw picture, and the saved result."""


WITH_UPLOAD: Final[Graph] = {
    "1": {
        "class_type": "LoadImage",
        "inputs": {"image": "check_input.png"},
        "_meta": {"title": "Input"},
    },
    "9": {
        "class_type": "SaveImage",
        "inputs": {"images": ["1", 0], "filename_prefix": "ComfyUI"},
        "_meta": {"title": "Result"},
    },
}
"""A picture that the client has to upload first; it lies beside the workflow's file."""


def chain(n: int) -> Graph:
    """A picture, ``n`` steps of scaling (nodes ``2`` to ``n + 1``), and a save (node ``99``)."""
    scales = {
        str(number): {
            "class_type": "ImageScale",
            "inputs": {
                "image": [str(number - 1), 0],
                "upscale_method": "nearest-exact",
                "width": 64 + number,
                "height": 64,
                "crop": "disabled",
            },
            "_meta": {"title": f"Scale {number - 1}"},
        }
        for number in range(2, n + 2)
    }
    save = {
        "class_type": "SaveImage",
        "inputs": {"images": [str(n + 1), 0], "filename_prefix": "ComfyUI"},
        "_meta": {"title": "Result"},
    }
    return {"1": _EMPTY, **scales, "99": save}


def links(node: Mapping[str, Any]) -> Iterator[str]:
    """The ids that a node's inputs are linked to."""
    for value in (node.get("inputs") or {}).values():
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
            yield value[0]


def sinks(graph: Graph) -> list[str]:
    """Nodes that nothing is linked to: the outputs of a graph, as far as it shows them."""
    used = {source for node in graph.values() for source in links(node)}
    return [name for name in graph if name not in used] or list(graph)


def middle(graph: Graph) -> str:
    """A node that feeds another one, best one that is itself fed."""
    inner = [name for name in graph if name not in sinks(graph)]
    fed = [name for name in inner if any(links(graph[name]))]
    return next(iter([*fed, *inner, *graph]))


def planned(**does: Any) -> GraphPlan:
    """The node in the ``middle`` does this: the plan's keys, ``raise`` written ``raises``."""
    keys = {("raise" if key == "raises" else key): value for key, value in does.items()}
    return lambda graph: {middle(graph): keys} if graph else {}


def slow(seconds: float, *, steps: int = 0) -> GraphPlan:
    """The node in the ``middle`` takes its time; in a lifelike run it may take longer."""
    return planned(seconds=seconds, steps=steps, at_least=True)


def other_outputs(graph: Graph) -> Graph:
    """The graph with other literals in its outputs: all else is the same to a cache."""
    return {name: _other(node) if name in sinks(graph) else node for name, node in graph.items()}


def _other(node: Mapping[str, Any]) -> Mapping[str, Any]:
    inputs = {
        name: f"{value}_before" if isinstance(value, str) else value
        for name, value in (node.get("inputs") or {}).items()
    }
    return {**node, "inputs": inputs}
