"""Retired node classes -> what took their place, and a prompt rewritten accordingly.

protocol.md, section 6: before validation, and only where the old class is gone and the new one is
there. The table is what GET /node_replacements of 0.27.0 answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.values import is_link

__all__ = ["REPLACEMENTS", "Unreplaceable", "replace_retired"]


class Unreplaceable(Exception):
    """A retired node is written so that the server's own code fails: 500."""


def _entry(
    old: str,
    new: str,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    *,
    widgets: Sequence[str] | None = None,
    outputs: Sequence[Mapping[str, int]] | None = None,
) -> list[dict[str, Any]]:
    return [
        {
            "new_node_id": new,
            "old_node_id": old,
            "old_widget_ids": widgets,
            "input_mapping": inputs,
            "output_mapping": outputs,
        }
    ]


def _was(new: str, old: str) -> dict[str, str]:
    return {"new_id": new, "old_id": old}


def _is(new: str, value: Any) -> dict[str, Any]:
    return {"new_id": new, "set_value": value}


REPLACEMENTS: Final[dict[str, list[dict[str, Any]]]] = {
    "ResizeImagesByLongerEdge": _entry(
        "ResizeImagesByLongerEdge",
        "ImageScaleToMaxDimension",
        [
            _was("image", "images"),
            _was("largest_size", "longer_edge"),
            _is("upscale_method", "lanczos"),
        ],
        widgets=["longer_edge"],
        outputs=[{"new_idx": 0, "old_idx": 0}],
    ),
    "ImageBatch": _entry(
        "ImageBatch",
        "BatchImagesNode",
        [_was("images.image0", "image1"), _was("images.image1", "image2")],
    ),
    "ImageScaleBy": _entry(
        "ImageScaleBy",
        "ResizeImageMaskNode",
        [
            _was("input", "image"),
            _is("resize_type", "scale by multiplier"),
            _was("resize_type.multiplier", "scale_by"),
            _was("scale_method", "upscale_method"),
        ],
        widgets=["upscale_method", "scale_by"],
    ),
    "T2IAdapterLoader": _entry(
        "T2IAdapterLoader", "ControlNetLoader", [_was("control_net_name", "t2i_adapter_name")]
    ),
    "Load3DAnimation": _entry("Load3DAnimation", "Load3D"),
    "Preview3DAnimation": _entry("Preview3DAnimation", "Preview3D"),
    "SDV_img2vid_Conditioning": _entry("SDV_img2vid_Conditioning", "SVD_img2vid_Conditioning"),
    "ConditioningAverage ": _entry("ConditioningAverage ", "ConditioningAverage"),
}


def replace_retired(prompt: dict[str, Any], catalogue: Catalogue) -> None:
    """Rewrite retired nodes of a prompt in place.

    Raises:
        Unreplaceable: such a node has no ``_meta``, or lacks an input that is carried over; or
            any node, or the inputs of one, are nothing that could be looked into.
    """
    for node in prompt.values():
        _look_into(node)
    retired = [
        (node_id, REPLACEMENTS[node["class_type"]][0])
        for node_id, node in prompt.items()
        if isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and node["class_type"] in REPLACEMENTS
        and node["class_type"] not in catalogue
        and "inputs" in node
    ]
    for node_id, entry in retired:
        if entry["new_node_id"] in catalogue:
            prompt[node_id] = _replaced(prompt[node_id], entry)
            _move_outputs(prompt, node_id, entry["output_mapping"] or ())


def _look_into(node: Any) -> None:
    # The server asks 'in', which lists and texts answer too; only then does it reach for a key.
    if not isinstance(node, (dict, list, str)):
        raise Unreplaceable
    reached_for = "class_type" in node and "inputs" in node
    if reached_for and not (isinstance(node, dict) and isinstance(node["inputs"], dict)):
        raise Unreplaceable


def _replaced(node: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(node.get("_meta"), dict):
        raise Unreplaceable
    inputs = {}
    for mapping in entry["input_mapping"] or ():
        if "set_value" in mapping:
            inputs[mapping["new_id"]] = mapping["set_value"]
        elif mapping["old_id"] not in node["inputs"]:
            raise Unreplaceable
        else:
            inputs[mapping["new_id"]] = node["inputs"][mapping["old_id"]]
    return {**node, "inputs": inputs, "class_type": entry["new_node_id"]}


def _move_outputs(
    prompt: Mapping[str, Any], node_id: str, moves: Sequence[Mapping[str, int]]
) -> None:
    targets = {move["old_idx"]: move["new_idx"] for move in moves}
    for node in prompt.values():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        for value in inputs.values() if isinstance(inputs, dict) else ():
            if is_link(value) and value[0] == node_id and value[1] in targets:
                value[1] = targets[value[1]]
