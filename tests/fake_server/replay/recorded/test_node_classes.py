"""The node classes of a recorded server, as far as the recording shows them."""

from __future__ import annotations

import pytest

from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.replay.recorded.node_classes import NodeClasses, node_classes_of
from tests.support.timeline_samples import Recording, run, session

JSON = "Content-Type: application/json\r\n"

CUSTOM = {
    "1": {"class_type": "MyLoader", "inputs": {"name": "a"}},
    "2": {"class_type": "MyOutput", "inputs": {"first": ["1", 0], "second": ["1", 2]}},
}


ERA = era_of("0.33.0")
MINE = {"input": {"required": {"mine": ["INT", {}]}}, "output": []}


def found_in(recording: Recording, more: Catalogue | None = None) -> NodeClasses:
    return node_classes_of(Timeline.build(recording.end()), ERA, more)


def test_what_the_server_said_of_a_class_stands_first() -> None:
    recording = session()
    recording.asked(9, "GET", "/object_info/EmptyImage", answer={"EmptyImage": MINE})

    found = found_in(run(recording))

    assert found.info["EmptyImage"] == MINE
    assert found.described == {"EmptyImage"}
    assert not found.complete


def test_a_class_of_comfyui_is_known_without_being_described() -> None:
    found = found_in(run(session()))

    assert found.catalogue().get("SaveImage") is not None
    assert found.described == frozenset()


def test_the_classes_of_the_recorded_version_are_known_though_no_graph_uses_them() -> None:
    found = found_in(run(session(), graph=CUSTOM))

    assert found.info.keys() == {*Catalogue.core(ERA), "MyLoader", "MyOutput"}


def test_where_the_server_said_all_its_classes_it_has_no_others() -> None:
    recording = session()
    recording.asked(9, "GET", "/object_info", answer={"Mine": MINE})

    found = found_in(run(recording, graph=CUSTOM))

    assert found.info.keys() == {"Mine", "MyLoader", "MyOutput"}
    assert found.complete


@pytest.mark.parametrize(
    "error",
    [
        {"type": "missing_node_type", "extra_info": {"class_type": "LoadImage"}},
        {
            "type": "invalid_prompt",
            "message": "Cannot execute because node LoadImage does not exist.",
        },
        "Cannot execute because node LoadImage does not exist.",
    ],
)
def test_a_class_that_the_server_said_it_has_not_is_not_there(error: object) -> None:
    recording = session()
    graph = {"1": {"class_type": "LoadImage", "inputs": {}}}
    recording.request(8, "POST", "/prompt", {"prompt": graph})
    recording.answer(8, {"error": error, "node_errors": {}}, 400, headers=JSON)
    recording.asked(9, "GET", "/object_info/KSampler", answer={})

    found = found_in(run(recording, graph=CUSTOM))

    assert Catalogue.core(ERA).unknown_in(graph) == []
    assert not {"LoadImage", "KSampler"} & found.info.keys()
    assert "SaveImage" in found.info


def test_more_classes_stand_in_the_place_of_those_of_the_version() -> None:
    recording = session()
    recording.asked(9, "GET", "/object_info", answer={"Mine": MINE})
    more = Catalogue.from_object_info({"Mine": {"output": []}, "More": MINE})

    found = found_in(run(recording, graph=CUSTOM), more)

    assert found.info.keys() == {"Mine", "More", "MyLoader", "MyOutput"}
    assert found.info["Mine"] == MINE


def test_any_other_class_is_what_the_graphs_show_of_it() -> None:
    found = found_in(run(session(), graph=CUSTOM))

    assert found.info["MyLoader"]["output"] == ["*"] * 3
    assert not found.info["MyLoader"]["output_node"]
    assert found.info["MyOutput"]["output_node"]
    assert sorted(found.info["MyOutput"]["input"]["optional"]) == ["first", "second"]


def test_odd_answers_and_graphs_describe_nothing() -> None:
    recording = session()
    recording.asked(9, "GET", "/object_info", answer=[1])
    recording.asked(10, "GET", "/object_info/A", answer={"A": 1, "B": {"input": 1}})
    recording.asked(11, "GET", "/object_info/C", answer={"C": {"input": {}, "output": 7}})
    recording.asked(12, "GET", "/object_info/D", answer={"D": {"input": {"required": 5}}})

    found = found_in(run(recording, graph={"1": {"class_type": None}}))

    assert found.described == frozenset()
