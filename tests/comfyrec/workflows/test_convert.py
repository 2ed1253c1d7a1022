"""What ComfyUI's own page sends is what a conversion gives.

``pages/`` has workflows that were built on the page (frontend 1.58.1 before a 0.33.0 server), each
with the prompt that the page then sent and the classes it knew them by.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from comfyrec.errors import WorkflowError
from comfyrec.workflows import to_prompt

PAGES = sorted(Path(__file__).with_name("pages").glob("*.json"))
IMAGE: dict[str, Any] = {
    "input": {"required": {"width": ["INT", {"default": 512}], "seed": ["INT", {"default": 0}]}}
}
INVERT: dict[str, Any] = {"input": {"required": {"image": ["IMAGE"]}}}
SAVE: dict[str, Any] = {
    "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "x"}]}}
}
CLASSES = {"Make": IMAGE, "Invert": INVERT, "SaveImage": SAVE}


def node(number: int, kind: str, *links: tuple[str, int | None], **more: Any) -> dict[str, Any]:
    sockets = [{"name": name, "type": "IMAGE", "link": link} for name, link in links]
    outputs = [{"name": "IMAGE", "type": "IMAGE"}]
    return {"id": number, "type": kind, "inputs": sockets, "outputs": outputs, **more}


def workflow(nodes: list[Any], links: list[Any], **more: Any) -> dict[str, Any]:
    return {"nodes": nodes, "links": links, "last_node_id": 90, **more}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_workflow_converts_as_the_page_converts_it(page: Path) -> None:
    case = json.loads(page.read_text(encoding="utf-8"))

    converted = to_prompt(case["workflow"], case["classes"])

    assert converted.prompt == case["prompt"]
    assert converted.notes == ()


def test_what_follows_a_muted_node_loses_its_link() -> None:
    graph = workflow(
        [node(1, "Make", mode=2), node(2, "SaveImage", ("images", 7), widgets_values=["a"])],
        [[7, 1, 0, 2, 0, "IMAGE"]],
    )

    prompt = to_prompt(graph, CLASSES).prompt

    assert prompt["2"]["inputs"] == {"filename_prefix": "a"}
    assert list(prompt) == ["2"]


def test_the_control_of_a_seed_is_stored_but_not_sent() -> None:
    graph = workflow([node(1, "Make", widgets_values=[64, 5, "randomize"])], [])

    prompt = to_prompt(graph, CLASSES).prompt

    assert prompt["1"]["inputs"] == {"width": 64, "seed": 5}


def test_values_are_found_by_name_where_the_class_has_changed() -> None:
    stored = {"width": 64, "seed": 5}
    node_values = {"widgets_values": ["gone", 64, 5, "fixed"], "widgets_values_named": stored}
    graph = workflow([node(1, "Make", **node_values)], [])

    prompt = to_prompt(graph, CLASSES).prompt

    assert prompt["1"]["inputs"] == stored


def test_a_class_that_nobody_knows_is_converted_by_what_the_file_says_and_noted() -> None:
    sockets = [
        {"name": "image", "type": "IMAGE", "link": 7},
        {"name": "seed", "type": "INT", "link": None, "widget": {"name": "seed"}},
        {"name": "mode", "type": "COMBO", "link": None, "widget": {"name": "mode"}},
    ]
    other = {"id": 2, "type": "Odd", "inputs": sockets, "widgets_values": [3, "fixed", "fast"]}
    graph = workflow([node(1, "Make"), other], [[7, 1, 0, 2, 0, "IMAGE"]])

    converted = to_prompt(graph, CLASSES)

    assert converted.prompt["2"]["inputs"] == {"seed": 3, "mode": "fast", "image": ["1", 0]}
    assert "Odd" in converted.notes[0]


def test_values_stored_by_name_are_read_by_name() -> None:
    graph = workflow([node(1, "Odd", widgets_values={"rate": 8, "videopreview": {"x": 1}})], [])

    prompt = to_prompt(graph, {}).prompt

    assert prompt["1"]["inputs"] == {"rate": 8}


def test_set_and_get_nodes_are_followed() -> None:
    graph = workflow(
        [
            node(1, "Make"),
            node(2, "SetNode", ("IMAGE", 7), widgets_values=["picture"]),
            node(3, "GetNode", widgets_values=["picture"]),
            node(4, "SaveImage", ("images", 8), widgets_values=["a"]),
        ],
        [[7, 1, 0, 2, 0, "IMAGE"], [8, 3, 0, 4, 0, "IMAGE"]],
    )

    prompt = to_prompt(graph, CLASSES).prompt

    assert prompt["4"]["inputs"]["images"] == ["1", 0]
    assert list(prompt) == ["1", "4"]


def test_a_group_node_becomes_the_nodes_inside_it() -> None:
    inner = [
        {"type": "Make", "outputs": [{"name": "IMAGE", "type": "IMAGE"}]},
        {
            "type": "Invert",
            "inputs": [{"name": "image", "type": "IMAGE"}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
        },
    ]
    group = {"nodes": inner, "links": [[0, 0, 1, 0, 1, "IMAGE"]], "external": []}
    graph = workflow(
        [
            node(5, "workflow>both", widgets_values=[64, 9, "fixed"]),
            node(6, "SaveImage", ("images", 7), widgets_values=["a"]),
        ],
        [[7, 5, 0, 6, 0, "IMAGE"]],
        extra={"groupNodes": {"both": group}},
    )

    prompt = to_prompt(graph, CLASSES).prompt

    assert prompt["5:0"]["inputs"] == {"width": 64, "seed": 9}
    assert prompt["5:1"]["inputs"] == {"image": ["5:0", 0]}
    assert prompt["6"]["inputs"]["images"] == ["5:1", 0]


def test_a_date_in_a_prefix_is_filled_in_when_the_time_is_given() -> None:
    graph = workflow([node(1, "SaveImage", widgets_values=["%date:yyyy-MM-dd_hhmmss%/a"])], [])

    dated = to_prompt(graph, CLASSES, now=datetime(2026, 3, 4, 5, 6, 7)).prompt
    plain = to_prompt(graph, CLASSES).prompt

    assert dated["1"]["inputs"]["filename_prefix"] == "2026-03-04_050607/a"
    assert plain["1"]["inputs"]["filename_prefix"] == "%date:yyyy-MM-dd_hhmmss%/a"


def test_links_in_a_circle_of_reroutes_end() -> None:
    graph = workflow(
        [
            node(1, "Reroute", ("", 7)),
            node(2, "Reroute", ("", 8)),
            node(3, "SaveImage", ("images", 9), widgets_values=["a"]),
        ],
        [[7, 2, 0, 1, 0], [8, 1, 0, 2, 0], [9, 1, 0, 3, 0]],
    )

    prompt = to_prompt(graph, CLASSES).prompt

    assert prompt["3"]["inputs"] == {"filename_prefix": "a"}


def test_a_subgraph_inside_itself_is_refused() -> None:
    inside = {"id": "sub", "nodes": [node(1, "sub")], "links": [], "inputs": [], "outputs": []}
    graph = workflow([node(2, "sub")], [], definitions={"subgraphs": [inside]})

    with pytest.raises(WorkflowError, match="contains itself"):
        to_prompt(graph, CLASSES)


def nested(name: str, inner: list[Any], links: list[Any], *slots: str) -> dict[str, Any]:
    """The definition of a subgraph; slot N feeds the link N."""
    inputs = [{"name": slot, "type": "STRING", "linkIds": [at]} for at, slot in enumerate(slots)]
    ends = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return {
        "id": name, "nodes": inner, "inputs": inputs, "outputs": [],
        "links": [dict(zip(ends, link, strict=True)) for link in links],
    }  # fmt: skip


def test_a_subgraph_inside_itself_is_refused_when_its_widgets_are_looked_for() -> None:
    saver = node(2, "SaveImage", ("filename_prefix", 0), order=1)
    inside = [node(1, "sub", ("text", 0), order=2), saver]
    links = [[0, -10, 0, 1, 0], [0, -10, 0, 2, 0]]
    definitions = {"subgraphs": [nested("sub", inside, links, "text")]}
    graph = workflow([node(3, "sub", ("text", None))], [], definitions=definitions)

    with pytest.raises(WorkflowError, match="contains itself"):
        to_prompt(graph, CLASSES)


@pytest.mark.slow
def test_subgraphs_that_double_without_end_are_refused() -> None:
    subgraphs = [
        nested(f"sub{level}", [node(1, f"sub{level + 1}"), node(2, f"sub{level + 1}")], [])
        for level in range(40)
    ]
    graph = workflow([node(3, "sub0")], [], definitions={"subgraphs": subgraphs})
    subgraphs[-1]["nodes"] = []

    with pytest.raises(WorkflowError, match="more than 100,000 subgraphs"):
        to_prompt(graph, CLASSES)


def test_values_that_come_through_many_subgraphs_are_found_at_once() -> None:
    """Each level asks all inputs of the next; what was found of one is not looked for again."""
    slots = [f"text{at}" for at in range(9)]
    savers = [node(10 + at, "SaveImage", ("filename_prefix", at)) for at in range(9)]
    for at, saver in enumerate(savers):
        saver["inputs"][0]["widget"] = {"name": "filename_prefix"}
        saver["widgets_values"] = [f"value {at}"]
    subgraphs = [nested("sub0", savers, [[at, -10, at, 10 + at, 0] for at in range(9)], *slots)]
    for level in range(1, 12):
        instance = node(1, f"sub{level - 1}", *((slot, at) for at, slot in enumerate(slots)))
        links = [[at, -10, at, 1, at] for at in range(9)]
        subgraphs.append(nested(f"sub{level}", [instance], links, *slots))
    outer = node(1, "sub11", *((slot, None) for slot in slots))

    prompt = to_prompt(workflow([outer], [], definitions={"subgraphs": subgraphs}), CLASSES).prompt

    assert [one["inputs"]["filename_prefix"] for one in prompt.values()] == [
        f"value {at}" for at in range(9)
    ]


def test_notes_and_switches_of_extensions_are_not_sent() -> None:
    graph = workflow(
        [node(1, "Make"), node(2, "Label (rgthree)"), node(3, "Fast Muter (rgthree)", ("a", 4))],
        [[4, 1, 0, 3, 0, "IMAGE"]],
    )

    assert list(to_prompt(graph, CLASSES).prompt) == ["1"]
    assert list(to_prompt(graph, {**CLASSES, "Label (rgthree)": {}}).prompt) == ["1", "2"]


def test_a_workflow_of_notes_is_refused() -> None:
    graph = workflow([node(1, "Note"), node(2, "MarkdownNote")], [])

    with pytest.raises(WorkflowError, match="no node of it runs"):
        to_prompt(graph, CLASSES, where="notes.json")
