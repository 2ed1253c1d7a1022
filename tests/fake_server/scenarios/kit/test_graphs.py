"""Where in a graph a node stands, and what it is planned to do."""

from __future__ import annotations

from fake_server.scenarios.kit.graphs import (
    PLAIN,
    TWO_OUTPUTS,
    chain,
    links,
    middle,
    other_outputs,
    planned,
    sinks,
    slow,
)


def test_sinks_are_the_nodes_that_nothing_is_linked_to() -> None:
    assert sinks(TWO_OUTPUTS) == ["9", "8"]
    assert sinks({"1": {"inputs": {"image": ["1", 0]}}}) == ["1"]


def test_the_middle_is_fed_and_feeds_where_there_is_such_a_node() -> None:
    assert middle(PLAIN) == "2"
    assert middle({"1": {}, "2": {"inputs": {"image": ["1", 0]}}}) == "1"
    assert middle({"1": {}}) == "1"


def test_links_are_pairs_of_an_id_and_a_number() -> None:
    node = {"inputs": {"a": ["1", 0], "b": 3, "c": ["x"], "d": [1, 0]}}

    assert list(links(node)) == ["1"]
    assert list(links({})) == []


def test_a_chain_is_a_line_of_nodes_from_a_picture_to_a_save() -> None:
    graph = chain(3)

    assert list(graph) == ["1", "2", "3", "4", "99"]
    assert [list(links(graph[name])) for name in ("2", "3", "4", "99")] == [
        ["1"],
        ["2"],
        ["3"],
        ["4"],
    ]


def test_a_plan_is_about_the_middle_and_about_nothing_in_an_empty_graph() -> None:
    assert planned(raises="x")(PLAIN) == {"2": {"raise": "x"}}
    assert slow(2, steps=3)(PLAIN) == {"2": {"seconds": 2, "steps": 3, "at_least": True}}
    assert planned(raises="x")({}) == {}


def test_other_outputs_leave_all_but_the_outputs_alone() -> None:
    other = other_outputs(PLAIN)

    assert {name for name in PLAIN if other[name] != PLAIN[name]} == {"9"}
    assert other["9"]["inputs"]["filename_prefix"] == "ComfyUI_before"
