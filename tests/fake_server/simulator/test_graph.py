"""The order of work and the signatures of nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.simulator.graph import EXACT_NODES_MAX, Graph, Order, signatures
from tests.support.engine_bench import CATALOGUE, node

ids = st.integers(0, 11).map(str)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """A prompt without cycles: each node may look at those before it."""
    count = draw(st.integers(1, 12))
    prompt: dict[str, Any] = {"0": node("Make", color=draw(st.integers(0, 2)))}
    for number in range(1, count):
        earlier = st.integers(0, number - 1).map(str)
        kind = draw(st.sampled_from(["Make", "Pass", "Both", "Sink"]))
        first, second = draw(earlier), draw(earlier)
        prompt[str(number)] = {
            "Make": lambda: node("Make", color=draw(st.integers(0, 2))),
            "Pass": lambda first=first: node("Pass", image=[first, 0]),
            "Both": lambda first=first, second=second: node(
                "Both", image1=[first, 0], image2=[second, 0]
            ),
            "Sink": lambda first=first: node("Sink", image=[first, 0]),
        }[kind]()
    return prompt


def never(node_id: str) -> bool:
    return False


@pytest.mark.slow
@given(graphs())
def test_every_node_comes_after_its_sources_and_each_once(prompt: dict[str, Any]) -> None:
    graph = Graph(prompt, CATALOGUE)
    order = Order(graph, never)
    for node_id in prompt:
        order.add(node_id)
    ran: list[str] = []

    while order:
        node_id = order.next()
        assert node_id is not None
        sources = [value[0] for value in graph.inputs(node_id).values() if isinstance(value, list)]
        assert set(sources) <= set(ran)
        ran.append(node_id)
        order.done(node_id)

    assert sorted(ran) == sorted(prompt)


def keys(prompt: dict[str, Any]) -> dict[str, Any]:
    return dict(signatures(Graph(prompt, CATALOGUE), prompt, never))


@pytest.mark.slow
@given(graphs(), st.permutations([str(n) for n in range(12)]))
def test_renaming_nodes_keeps_every_signature(prompt: dict[str, Any], names: list[str]) -> None:
    new = dict(zip([str(n) for n in range(12)], names, strict=True))
    renamed = {
        new[one]: {
            **each,
            "inputs": {
                name: [new[value[0]], value[1]] if isinstance(value, list) else value
                for name, value in each["inputs"].items()
            },
        }
        for one, each in prompt.items()
    }

    before, after = keys(prompt), keys(renamed)

    assert {one: after[new[one]] for one in prompt} == before


@pytest.mark.slow
@given(graphs(), ids)
def test_changing_a_node_changes_it_and_what_follows_and_nothing_else(
    prompt: dict[str, Any], changed: str
) -> None:
    if changed not in prompt:
        return
    other = {
        **prompt,
        changed: {**prompt[changed], "inputs": {**prompt[changed]["inputs"], "x": 9}},
    }
    behind = {changed}
    for one, each in prompt.items():
        links = [value[0] for value in each["inputs"].values() if isinstance(value, list)]
        behind |= {one} if behind & set(links) else set()

    before, after = keys(prompt), keys(other)

    assert {one for one in prompt if before[one] != after[one]} == behind


@pytest.mark.slow
def test_a_long_chain_has_its_signatures_in_no_time() -> None:
    count = EXACT_NODES_MAX * 20
    prompt = {str(n): node("Pass", image=[str(n - 1), 0]) for n in range(1, count)}
    prompt["0"] = node("Make", color=1)

    found = keys(prompt)

    assert len(set(found.values())) == count
    assert found == keys(dict(reversed(prompt.items())))


def test_values_of_any_shape_can_be_part_of_a_key() -> None:
    odd = {"a": [1, {"b": None}], "c": float("inf")}
    prompt = {"0": {"class_type": "Make", "inputs": {"color": odd}}}

    assert keys(prompt) == keys(json.loads(json.dumps(prompt)))
