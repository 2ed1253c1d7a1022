"""Which node of a recorded graph stands for which live one."""

from __future__ import annotations

from typing import Any

from fake_server.replay.matching.alignment import aligned
from fake_server.replay.matching.shape import Shape, Tier

GRAPH: dict[str, Any] = {
    "1": {"class_type": "Load", "inputs": {"name": "a"}},
    "2": {"class_type": "Load", "inputs": {"name": "b"}},
    "3": {"class_type": "Blend", "inputs": {"one": ["1", 0], "other": ["2", 0], "factor": 0.5}},
}


def shape(graph: dict[str, Any]) -> Shape:
    return Shape({"prompt": graph}, frozenset())


def test_nodes_with_the_same_ids_stand_for_each_other() -> None:
    live = {**GRAPH, "1": {"class_type": "Load", "inputs": {"name": "c"}}}

    found = aligned(shape(GRAPH), shape(live), Tier.SHAPE)

    assert found.nodes == {"1": "1", "2": "2", "3": "3"}
    assert [(p.node_id, p.recorded, p.live) for p in found.pairs if p.recorded != p.live] == [
        ("1", "a", "c")
    ]


def test_renumbered_nodes_are_followed_from_the_end_along_their_links() -> None:
    live = {
        "30": {"class_type": "Load", "inputs": {"name": "x"}},
        "20": {"class_type": "Load", "inputs": {"name": "y"}},
        "10": {
            "class_type": "Blend",
            "inputs": {"one": ["20", 0], "other": ["30", 0], "factor": 0.5},
        },
    }

    found = aligned(shape(GRAPH), shape(live), Tier.RENUMBERED)

    assert found.nodes == {"3": "10", "1": "20", "2": "30"}


def test_of_graphs_that_only_overlap_nodes_of_one_class_are_paired() -> None:
    live = {
        "5": {"class_type": "Load", "inputs": {"name": "b"}},
        "6": {"class_type": "Save", "inputs": {"images": ["5", 0]}},
    }

    found = aligned(shape(GRAPH), shape(live), Tier.OVERLAP)

    assert found.nodes == {"2": "5"}


def test_links_are_not_literals() -> None:
    found = aligned(shape(GRAPH), shape(GRAPH), Tier.SHAPE)

    assert {pair.name for pair in found.pairs} == {"name", "factor"}
