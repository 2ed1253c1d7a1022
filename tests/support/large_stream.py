"""A run with much in it, of which tests leave out what does not matter."""

from __future__ import annotations

from typing import Any

from comfyrec.strategies import Fault, Stream

__all__ = ["GRAPH", "MUCH", "SOMEBODY"]

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 8, "batch_size": 1, "color": 0},
    },
    "4": {"class_type": "ImageInvert", "inputs": {"image": ["3", 0]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "a"}},
    "7": {"class_type": "PreviewAny", "inputs": {"source": "a"}},
}
SOMEBODY = '{"type": "executing", "data": {"node": null, "prompt_id": "x"}}'
MUCH = Stream(
    graph=GRAPH,
    nodes={"4": {"seconds": 0.3, "steps": 3}, "7": {"text": "text", "uncached": True}},
    version="0.3.40",
    fault=Fault(label="foreign", position=5, extra=(SOMEBODY, SOMEBODY.replace("null", '"9"'))),
)
