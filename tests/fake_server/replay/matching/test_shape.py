"""How alike two graphs are."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.replay.matching.shape import Shape, Tier, differences

NODE: dict[str, Any] = {"class_type": "A", "inputs": {"x": 1, "seed": 2}}


def shape(graph: Any, **more: Any) -> Shape:
    return Shape({"prompt": graph, **more}, frozenset({"seed"}))


TWO = {"1": NODE, "2": NODE}
TIERS: dict[str, tuple[Shape, Shape, Tier]] = {
    "the same": (shape({"1": NODE}), shape({"1": NODE}), Tier.BODY),
    "in front": (shape({"1": NODE}), shape({"1": NODE}, front=True), Tier.GRAPH),
    "two ids of a client": (
        shape({"1": NODE}, prompt_id="11111111-2222-4333-8444-555555555555"),
        shape({"1": NODE}, prompt_id="99999999-2222-4333-8444-555555555555"),
        Tier.BODY,
    ),
    "a title": (shape({"1": NODE}), shape({"1": {**NODE, "_meta": {}}}), Tier.BODY),
    "a volatile input": (
        shape({"1": NODE}),
        shape({"1": {"class_type": "A", "inputs": {"x": 1, "seed": 3}}}),
        Tier.STRUCTURE,
    ),
    "a literal": (
        shape({"1": NODE}),
        shape({"1": {"class_type": "A", "inputs": {"x": 5, "seed": 2}}}),
        Tier.SHAPE,
    ),
    "an id": (shape({"1": NODE}), shape({"2": NODE}), Tier.RENUMBERED),
    "two sources, and one used twice": (
        shape(TWO | {"3": {"class_type": "B", "inputs": {"a": ["1", 0], "b": ["2", 0]}}}),
        shape(TWO | {"3": {"class_type": "B", "inputs": {"a": ["1", 0], "b": ["1", 0]}}}),
        Tier.OVERLAP,
    ),
    "an input less": (
        shape({"1": NODE}),
        shape({"1": {"class_type": "A", "inputs": {"seed": 2}}}),
        Tier.OVERLAP,
    ),
    "another class": (
        shape({"1": NODE}),
        shape({"1": {"class_type": "B", "inputs": {}}}),
        Tier.ANY,
    ),
    "no graph": (shape({"1": NODE}), shape(None), Tier.ANY),
}


@pytest.mark.parametrize("one, other, tier", TIERS.values(), ids=TIERS)
def test_the_closest_tier_counts(one: Shape, other: Shape, tier: Tier) -> None:
    assert (one.tier(other), other.tier(one)) == (tier, tier)


def test_a_circle_of_links_has_a_shape() -> None:
    graph = {
        "1": {"class_type": "A", "inputs": {"x": ["2", 0]}},
        "2": {"class_type": "A", "inputs": {"x": ["1", 0]}},
    }

    assert shape(graph).tier(shape(dict(graph))) is Tier.BODY
    assert len(shape(graph).node_hashes) == 2


def test_a_long_chain_has_a_shape() -> None:
    graph = {
        str(n): {"class_type": "A", "inputs": {"x": [str(n - 1), 0]} if n else {}}
        for n in range(5_000)
    }

    assert len(set(shape(graph).node_hashes.values())) == 5_000


def test_overlap_is_the_common_share_of_classes_and_links() -> None:
    one = shape({"1": NODE, "2": {"class_type": "B", "inputs": {"x": ["1", 0]}}})
    other = shape({"1": NODE})

    assert (one.overlap(one), one.overlap(other), other.overlap(shape({}))) == (1.0, 0.5, 0.0)


def test_differences_are_told_node_by_node() -> None:
    found = list(differences({"1": NODE, "3": NODE}, {"1": {**NODE, "inputs": {}}, "2": NODE}))

    assert found == [
        "node 2 (A) is missing",
        "node 3 (A) was not there",
        "node 1 (A) input seed: 2, recorded was None",
        "node 1 (A) input x: 1, recorded was None",
    ]
