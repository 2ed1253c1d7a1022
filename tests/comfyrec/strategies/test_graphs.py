"""Graphs that a server accepts, and how they shrink."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from comfyrec.errors import UsageError
from comfyrec.strategies import (
    graphs,
)
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond
from tests.support.fuzz_settings import FUZZ, SEARCH

SMALL: dict[str, Any] = {
    "Make": {
        "input": {"required": {"seed": ["INT", {"default": 0, "max": 1 << 64}]}},
        "output": ["THING"],
    },
    "Show": {
        "input": {"required": {"thing": ["THING"], "how": [["a", "b"]]}},
        "output": [],
        "output_node": True,
    },
    "Lonely": {"input": {"required": {"x": ["NOBODY_MAKES_THIS"]}}, "output": ["THING"]},
}


def accepted(graph: Mapping[str, Any], catalogue: Catalogue | None = None) -> dict[str, Any]:
    world = SimulatedServer(ServerOptions(catalogue=catalogue or Catalogue.core()))
    body = json.dumps({"prompt": graph}).encode()
    actions = world.handle(RequestReceived(1, Request("POST", "/prompt", body=body)), 0)
    (answer,) = [action.answer for action in actions if isinstance(action, Respond)]
    told: dict[str, Any] = json.loads(answer.body)
    return {"status": answer.status, **told}


@pytest.mark.slow
@FUZZ
@given(graphs())
def test_a_server_accepts_every_graph_whole(graph: dict[str, Any]) -> None:
    answer = accepted(graph)

    assert (answer["status"], answer["node_errors"]) == (200, {})


@FUZZ
@given(graphs(SMALL, max_nodes=4))
def test_a_graph_fits_the_catalogue_that_is_given(graph: dict[str, Any]) -> None:
    answer = accepted(graph, Catalogue.from_object_info(SMALL))

    assert (answer["status"], answer["node_errors"]) == (200, {})
    assert 2 <= len(graph) <= 4
    assert {node["class_type"] for node in graph.values()} == {"Make", "Show"}


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 2, 5])
@FUZZ
@given(data=st.data())
def test_no_graph_is_larger_than_wanted(most: int, data: st.DataObject) -> None:
    assert 1 <= len(data.draw(graphs(max_nodes=most))) <= most


def test_no_two_nodes_of_a_graph_are_the_same() -> None:
    assert FUZZ(given(graphs())(_has_no_twins))() is None


def _has_no_twins(graph: dict[str, Any]) -> None:
    assert len({json.dumps(node, sort_keys=True) for node in graph.values()}) == len(graph)


def test_the_smallest_graph_is_one_output_node() -> None:
    found = find(graphs(), lambda graph: True, settings=SEARCH)

    assert found == {"1": {"class_type": "PreviewAny", "inputs": {"source": ""}}}


def test_a_graph_shrinks_to_what_matters() -> None:
    def saves(graph: dict[str, Any]) -> bool:
        return "SaveAnimatedPNG" in {node["class_type"] for node in graph.values()}

    # Of all classes, one is not drawn often enough to be found in every run.
    names = ("EmptyImage", "ImageInvert", "ImageScale", "PreviewImage", "SaveAnimatedPNG")
    classes = {name: Catalogue.core().entry(name) for name in names}
    found = find(graphs(classes), saves, settings=settings(SEARCH, max_examples=1_000))

    source, saver = found.values()
    assert saver["class_type"] == "SaveAnimatedPNG"
    assert not any(isinstance(value, list) for value in source["inputs"].values())


@pytest.mark.parametrize(
    "info, most",
    {"no output node": ({"Make": SMALL["Make"]}, 9), "too few nodes": (SMALL, 1)}.values(),
    ids=["no output node", "too few nodes"],
)
def test_a_catalogue_without_a_graph_is_said_at_once(info: Any, most: int) -> None:
    with pytest.raises(ValueError, match="no output node of this catalogue"):
        graphs(info, max_nodes=most)


def test_what_is_no_catalogue_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="object_info must be a JSON object"):
        graphs({})


BOUND = (1 << 64) - 1
BOUNDED: dict[str, Any] = {
    "Bounded": {
        "input": {"required": {"x": ["FLOAT", {"min": BOUND - 4095, "max": BOUND}]}},
        "output": [],
        "output_node": True,
    }
}


@FUZZ
@given(graphs(BOUNDED, max_nodes=1))
def test_a_float_stays_within_a_bound_that_no_float_is(graph: dict[str, Any]) -> None:
    assert graph["1"]["inputs"]["x"] <= BOUND
