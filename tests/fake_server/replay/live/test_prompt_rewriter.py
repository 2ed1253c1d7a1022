"""The values that a live client chose, where the recorded ones stood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.replay.live.output_names import LiveFiles
from fake_server.replay.live.prompt_rewriter import PromptRewriter

VALUES: list[tuple[str, Any, Any]] = [
    ("text", "a cat", "a dog"),
    ("filename_prefix", "tag", "mine"),
    ("image", "ab12/in.png", "cd34/my.png"),
    ("seed", 123_456, 654_321),
    ("steps", 20, 8),
]


def rewriter(nodes: dict[str, str] | None = None) -> PromptRewriter:
    return PromptRewriter(nodes, VALUES, LiveFiles(), 0)


REWRITTEN: dict[str, tuple[Any, Any]] = {
    "a text": ({"text": ["a cat"]}, {"text": ["a dog"]}),
    "a text inside another": ({"text": ["I see a cat."]}, {"text": ["I see a dog."]}),
    "a short text inside another": ({"text": ["tags"]}, {"text": ["tags"]}),
    "a saved file": (
        {"images": [{"filename": "tag_00007_.png", "subfolder": "", "type": "output"}]},
        {"images": [{"filename": "mine_00001_.png", "subfolder": "", "type": "output"}]},
    ),
    "an uploaded file": (
        {"images": [{"filename": "in.png", "subfolder": "ab12", "type": "input"}]},
        {"images": [{"filename": "my.png", "subfolder": "cd34", "type": "input"}]},
    ),
    "a drawn number": ({"value": [123_456]}, {"value": [654_321]}),
    "a drawn number as text": ({"text": ["123456"]}, {"text": ["654321"]}),
    "a small number": ({"value": 20}, {"value": 20}),
    "a small number among inputs": (
        {"current_inputs": {"steps": [20]}},
        {"current_inputs": {"steps": [8]}},
    ),
    "a received value": (
        {"extra_info": {"input_name": "steps", "received_value": 20}},
        {"extra_info": {"input_name": "steps", "received_value": 8}},
    ),
    "the same number in another place": (
        {"extra_info": {"input_name": "cfg", "input_config": [{"min": 20}], "received_value": 20}},
        {"extra_info": {"input_name": "cfg", "input_config": [{"min": 20}], "received_value": 20}},
    ),
    "the same number of another input": (
        {"current_inputs": {"cfg": [20]}},
        {"current_inputs": {"cfg": [20]}},
    ),
}


@pytest.mark.parametrize("recorded, live", REWRITTEN.values(), ids=REWRITTEN)
def test_values(recorded: Any, live: Any) -> None:
    assert rewriter().value(recorded) == live


NODES: dict[str, tuple[Any, Any]] = {
    "the node of a frame": (
        {"node": "1", "display_node": "1"},
        {"node": "11", "display_node": "11"},
    ),
    "no node": ({"node": None}, {"node": None}),
    "a node that one made": ({"node_id": "1.0.3"}, {"node_id": "11.0.3"}),
    "cached nodes": ({"nodes": ["1", "2", "9"]}, {"nodes": ["11", "12"]}),
    "progress": (
        {"nodes": {"1": {"node_id": "1", "value": 1}, "9": {"node_id": "9"}}},
        {"nodes": {"11": {"node_id": "11", "value": 1}}},
    ),
    "outputs": ({"outputs": {"2": {}}}, {"outputs": {"12": {}}}),
    "a value that looks like one": ({"value": "1"}, {"value": "1"}),
}


@pytest.mark.parametrize("recorded, live", NODES.values(), ids=NODES)
def test_nodes(recorded: Any, live: Any) -> None:
    assert rewriter({"1": "11", "2": "12"}).value(recorded) == live


def test_a_node_that_the_live_graph_lacks_is_not_known() -> None:
    one = rewriter({"1": "11"})

    assert [one.knows(node) for node in ("1", "1.0.1", "2", None)] == [True, True, False, True]


def test_what_is_not_json_stays_as_it_is() -> None:
    assert rewriter().text("{") == "{"
    assert rewriter().body(b"\xff") == b"\xff"


def test_a_message_is_rewritten_whole() -> None:
    message = json.dumps({"type": "executed", "data": {"output": {"text": ["a cat"]}}})

    assert json.loads(rewriter().text(message))["data"]["output"]["text"] == ["a dog"]
