"""Task types -> the workflows that the task interface runs for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["GRAPHS", "Graph", "Parameters"]

Parameters = Mapping[str, Any]
"""``task_details.parameters`` of a task."""
Graph = dict[str, dict[str, Any]]
"""A prompt: node id -> ``class_type`` and ``inputs``."""


def _size(parameters: Parameters, name: str, default: int) -> int:
    value = parameters.get(name)
    return value if isinstance(value, int) and 1 <= value <= 4096 else default


def _picture(parameters: Parameters, *, batch: int = 1) -> dict[str, Any]:
    inputs = {
        "width": _size(parameters, "width", 64),
        "height": _size(parameters, "height", 64),
        "batch_size": batch,
        "color": 0,
    }
    return {"class_type": "EmptyImage", "inputs": inputs}


def _text_to_image(parameters: Parameters) -> Graph:
    """Without a model: what is tried is the task, not the picture."""
    save = {"images": ["1", 0], "filename_prefix": "txt2img"}
    return {"1": _picture(parameters), "2": {"class_type": "SaveImage", "inputs": save}}


def _upscale(parameters: Parameters) -> Graph:
    scale = {"image": ["1", 0], "upscale_method": "nearest-exact", "scale_by": 2.0}
    save = {"images": ["2", 0], "filename_prefix": "upscaler"}
    return {
        "1": _picture(parameters),
        "2": {"class_type": "ImageScaleBy", "inputs": scale},
        "3": {"class_type": "SaveImage", "inputs": save},
    }


def _text_to_video(parameters: Parameters) -> Graph:
    save = {"images": ["1", 0], "filename_prefix": "txt2vid"}
    frames = min(_size(parameters, "length", 4), 16)
    return {
        "1": _picture(parameters, batch=frames),
        "2": {"class_type": "SaveImage", "inputs": save},
    }


GRAPHS: Mapping[str, Callable[[Parameters], Graph]] = {
    "txt2img": _text_to_image,
    "txt2vid": _text_to_video,
    "upscaler": _upscale,
}
"""What is run for a task type; hand in others to ``Sequencer`` for workflows of your own."""
