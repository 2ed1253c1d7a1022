"""Smaller graphs: the server accepts them, and step by step they come down to one node."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from comfyrec.strategies import graphs
from comfyrec.strategies.smaller_graphs import (
    ONE_NODE,
    outputs_of,
    renumbered,
    smaller_graphs,
    unusual_values,
)
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond
from tests.support.fuzz_settings import FUZZ

CORE = Catalogue.core()
CHAIN: dict[str, Any] = {
    "3": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 8, "batch_size": 1, "color": 0},
    },
    "4": {"class_type": "ImageInvert", "inputs": {"image": ["3", 0]}},
    "5": {"class_type": "ImageInvert", "inputs": {"image": ["4", 0]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "aé"}},
    "7": {"class_type": "PreviewAny", "inputs": {"source": "a"}},
}


def refused(graph: dict[str, Any]) -> Any:
    world = SimulatedServer(ServerOptions(catalogue=CORE))
    body = json.dumps({"prompt": graph}).encode()
    actions = world.handle(RequestReceived(1, Request("POST", "/prompt", body=body)), 0)
    (answer,) = [action.answer for action in actions if isinstance(action, Respond)]
    told = json.loads(answer.body)
    return told.get("error") or told["node_errors"]


@pytest.mark.slow
@settings(FUZZ, deadline=None)
@given(graphs(max_nodes=6))
def test_the_server_accepts_what_is_left(graph: dict[str, Any]) -> None:
    assert [(one, why) for one in smaller_graphs(graph, CORE) if (why := refused(one))] == []


def least(graph: dict[str, Any], needs: Any) -> dict[str, Any]:
    """What is left when what is not needed goes, a step at a time."""
    while True:
        sizes = [(len(one), unusual_values(one, CORE), len(repr(one))) for one in [graph]]
        for one in smaller_graphs(graph, CORE):
            size = (len(one), unusual_values(one, CORE), len(repr(one)))
            if needs(one) and size < sizes[0]:
                graph = one
                break
        else:
            return graph


def classes(graph: dict[str, Any]) -> list[str]:
    return sorted(node["class_type"] for node in graph.values())


NEEDS = {
    "an output": (lambda graph: True, ["PreviewAny"]),
    "two outputs": (lambda graph: len(outputs_of(graph, CORE)) == 2, ["PreviewAny", "SaveText"]),
    "a file": (lambda graph: "filename_prefix" in repr(graph), ["SaveText"]),
    "a picture": (lambda graph: "SaveImage" in repr(graph), ["EmptyImage", "SaveImage"]),
    "an inverted one": (
        lambda graph: "ImageInvert" in repr(graph),
        ["EmptyImage", "ImageInvert", "PreviewAny"],
    ),
}


@pytest.mark.parametrize("needs, left", NEEDS.values(), ids=NEEDS)
def test_what_is_not_needed_goes(needs: Any, left: list[str]) -> None:
    found = classes(least(CHAIN, needs))

    assert found[:2] == left[:2]
    assert len(found) == len(left)


def test_values_become_the_default_and_a_text_a_part_of_it() -> None:
    found = least(CHAIN, lambda graph: "é" in repr(graph))

    assert [node["inputs"] for node in found.values() if "filename_prefix" in node["inputs"]] == [
        {"images": ["3", 0], "filename_prefix": "é"}
    ]
    assert found["3"]["inputs"]["width"] == 512


def test_one_node_is_the_least() -> None:
    assert refused(ONE_NODE) == {}
    assert [*least(CHAIN, lambda graph: True).values()] == [ONE_NODE["1"]]


def test_nodes_are_counted_from_1() -> None:
    assert renumbered(CHAIN) == {"3": "1", "4": "2", "5": "3", "6": "4", "7": "5"}
