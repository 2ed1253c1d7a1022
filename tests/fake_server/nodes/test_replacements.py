"""Retired nodes are rewritten before validation."""

from __future__ import annotations

from typing import Any

from tests.support.engine_bench import CATALOGUE, Rig, node

EMPTY = node("EmptyImage", width=8, height=8, batch_size=1, color=0)


def only(node_errors: dict[str, Any], node_id: str) -> dict[str, Any]:
    [error] = node_errors[node_id]["errors"]
    return dict(error)


def test_a_retired_node_is_rewritten_before_validation() -> None:
    old = {
        "class_type": "T2IAdapterLoader",
        "inputs": {"t2i_adapter_name": "x", "more": 1},
        "_meta": {"title": "t"},
    }

    refusal = Rig().refuse({"1": old, "2": node("PreviewAny", source=["1", 0])})

    error = only(refusal["node_errors"], "1")
    assert error["details"].startswith("control_net_name: 'x' not in")
    assert refusal["node_errors"]["1"]["class_type"] == "ControlNetLoader"


def test_a_retired_node_without_meta_is_a_server_error() -> None:
    old = node("T2IAdapterLoader", t2i_adapter_name="x")
    rig = Rig()

    answer = rig.ask(
        "POST", "/prompt", {"prompt": {"1": old, "2": node("PreviewAny", source=["1", 0])}}
    )

    assert answer.status == 500


def test_a_class_that_still_exists_is_not_rewritten() -> None:
    assert "ImageBatch" in CATALOGUE
    rig = Rig()
    prompt = {
        "1": EMPTY,
        "0": node("ImageBatch", image1=["1", 0], image2=["1", 0]),
        "2": node("PreviewImage", images=["0", 0]),
    }

    assert rig.history(rig.queue(prompt))["prompt"][2]["0"]["class_type"] == "ImageBatch"
