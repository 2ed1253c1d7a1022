"""Files people have, and what is in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.client import workflow
from comfyrec.errors import WorkflowError

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"positive": ["11", 0], "negative": ["11", 1], "seed": 1},
    },
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a bridge", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["4", 1]}},
    "11": {
        "class_type": "ControlNetApplyAdvanced",
        "inputs": {"positive": ["12", 0], "negative": ["7", 0], "image": ["20", 0]},
    },
    "12": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["6", 0]}},
    "20": {"class_type": "LoadImage", "inputs": {"image": "old.png"}},
    "21": {"class_type": "LoadImageMask", "inputs": {"image": "old.png", "channel": "red"}},
    "22": {"class_type": "LoadImage", "inputs": {"image": ["20", 0]}},
}


@pytest.mark.parametrize(
    "value",
    {
        "bare": GRAPH,
        "a wrapper": {"prompt": GRAPH},
        "a whole POST body": {"prompt": GRAPH, "client_id": "x", "prompt_id": "y"},
    }.values(),
    ids=["bare", "wrapper", "body"],
)
def test_a_graph_is_found_bare_and_inside_a_wrapper(value: Any):
    assert workflow.read(json.dumps(value), where="f").graph == GRAPH


def test_extra_fields_of_a_body_go_along_and_ids_do_not():
    flow = workflow.of({"prompt": GRAPH, "client_id": "x", "extra_data": {"a": 1}, "front": True})

    assert flow.extra == {"extra_data": {"a": 1}, "front": True}


def test_a_node_whose_id_is_prompt_is_a_node():
    graph = {"prompt": {"class_type": "X", "inputs": {}}}

    assert workflow.of(graph).graph == graph


REFUSED = {
    "no JSON": ("{", "not JSON"),
    "nothing": ("", "not JSON"),
    "brackets without end": ("[" * 100_000, "not JSON"),
    "UI format": ('{"nodes": [], "links": []}', "Export (API)"),
    "UI format in a wrapper": ('{"prompt": {"nodes": [], "links": []}}', "Export (API)"),
    "an empty object": ("{}", "has no nodes"),
    "an empty wrapper": ('{"prompt": {}}', "has no nodes"),
    "a list": ("[]", "JSON object of nodes"),
    "a text": ('"x"', "JSON object of nodes"),
    "a node that is none": ('{"1": 5}', "'1' is not a node"),
    "a node without a class": ('{"1": {"inputs": {}}}', "node '1' has no class_type"),
    "inputs that are a list": (
        '{"1": {"class_type": "X", "inputs": []}}',
        "node '1': inputs must be",
    ),
}


@pytest.mark.parametrize(("text", "word"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_workflow_is_refused_with_its_file(text: str, word: str):
    with pytest.raises(WorkflowError) as caught:
        workflow.read(text, where="flow.json")

    assert str(caught.value).startswith("flow.json: ")
    assert word in str(caught.value)
    assert caught.value.status == 2


def test_texts_are_found_by_following_the_links_of_their_role():
    assert workflow.text_nodes(GRAPH, "positive") == ["6"]
    assert workflow.text_nodes(GRAPH, "negative") == ["7"]


def test_a_title_that_says_the_role_counts_first():
    graph = {**GRAPH, "7": {**GRAPH["7"], "_meta": {"title": "The POSITIVE one"}}}

    assert workflow.text_nodes(graph, "positive") == ["7"]


def test_a_graph_that_goes_round_in_circles_is_survived():
    graph = {
        "1": {"class_type": "A", "inputs": {"positive": ["2", 0]}},
        "2": {"class_type": "B", "inputs": {"x": ["1", 0], "y": ["2", 0], "z": ["none", 0]}},
    }

    assert workflow.text_nodes(graph, "positive") == []


def test_a_text_is_changed_in_a_copy():
    changed = workflow.with_text(GRAPH, "6", "a ship")

    assert changed["6"]["inputs"] == {"text": "a ship", "clip": ["4", 1]}
    assert GRAPH["6"]["inputs"]["text"] == "a bridge"


def test_only_nodes_that_load_a_file_get_an_image():
    assert workflow.image_nodes(GRAPH) == ["20", "21"]

    changed = workflow.with_image(GRAPH, ["20", "21"], "new (1).png", "sub")

    assert changed["20"]["inputs"]["image"] == "sub/new (1).png"
    assert changed["21"]["inputs"] == {"image": "sub/new (1).png", "channel": "red"}


def test_a_summary_names_classes_and_texts():
    text = workflow.summary(workflow.of(GRAPH), where="flow.json")

    assert text.splitlines()[0].startswith("flow.json: 8 nodes (")
    assert "2 x CLIPTextEncode" in text
    assert "positive text (node 6): a bridge" in text
