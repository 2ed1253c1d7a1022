"""Whatever stands in a workflow file, a graph comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.errors import WorkflowError
from comfyrec.workflows import to_prompt
from comfyrec.workflows.graph import read_graph

PAGES = sorted(Path(__file__).with_name("pages").glob("*.json"))
CASES = [json.loads(page.read_text(encoding="utf-8")) for page in PAGES]

_odd: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | st.sampled_from(["", "x", "1", "-10"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("id"), inner, max_size=1),
    max_leaves=4,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items if isinstance(value, dict | list) else ():
        inner += _places(one, (*path, key)) if isinstance(one, dict | list) else [(*path, key)]
    return inner


@pytest.mark.slow
@given(st.data())
def test_a_damaged_workflow_converts_or_is_refused(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    workflow = json.loads(json.dumps(case["workflow"]))
    *above, last = data.draw(st.sampled_from(_places(workflow)))
    holder = workflow
    for key in above:
        holder = holder[key]
    holder[last] = data.draw(_odd)

    try:
        prompt = to_prompt(workflow, case["classes"]).prompt
    except WorkflowError:
        prompt = {}

    assert all(isinstance(node["inputs"], dict) for node in prompt.values())


def test_ids_that_a_subgraph_shares_with_the_root_are_given_anew() -> None:
    inside = {"id": "s", "nodes": [{"id": 1, "type": "A"}, {"id": 7, "type": "B"}], "links": []}
    nodes = [{"id": 1, "type": "s"}, {"id": 2, "type": "C"}]

    root, subgraphs = read_graph(
        {"nodes": nodes, "definitions": {"subgraphs": [inside]}, "last_node_id": 4}
    )

    assert list(root.nodes) == ["1", "2"]
    assert list(subgraphs["s"].nodes) == ["5", "7"]


@pytest.mark.parametrize("case", CASES, ids=[page.stem for page in PAGES])
def test_a_link_from_a_negative_slot_leads_nowhere(case: dict[str, Any]) -> None:
    workflow = json.loads(json.dumps(case["workflow"]))
    subgraphs = (workflow.get("definitions") or {}).get("subgraphs") or []
    for graph in [workflow, *subgraphs]:
        for link in graph.get("links") or []:
            link["origin_slot" if isinstance(link, dict) else 2] = -2

    prompt = to_prompt(workflow, case["classes"]).prompt

    values = [value for node in prompt.values() for value in node["inputs"].values()]
    assert not any(isinstance(value, list) and value[1:] == [-2] for value in values)
