"""The node classes of a recorded server, as far as the recording shows them."""

from __future__ import annotations

from comfyrec.timeline import Timeline
from fake_server.replay.recorded.node_classes import node_classes_of
from tests.support.timeline_samples import Recording, run, session

CUSTOM = {
    "1": {"class_type": "MyLoader", "inputs": {"name": "a"}},
    "2": {"class_type": "MyOutput", "inputs": {"first": ["1", 0], "second": ["1", 2]}},
}


def timeline(recording: Recording) -> Timeline:
    return Timeline.build(recording.end())


def test_what_the_server_said_of_a_class_stands_first() -> None:
    recording = session()
    info = {"input": {"required": {"mine": ["INT", {}]}}, "output": []}
    recording.asked(9, "GET", "/object_info/EmptyImage", answer={"EmptyImage": info})

    found = node_classes_of(timeline(run(recording)))

    assert found.info["EmptyImage"] == info
    assert found.described == {"EmptyImage"}


def test_a_class_of_comfyui_is_known_without_being_described() -> None:
    found = node_classes_of(timeline(run(session())))

    assert found.catalogue().get("SaveImage") is not None
    assert found.described == frozenset()


def test_any_other_class_is_what_the_graphs_show_of_it() -> None:
    found = node_classes_of(timeline(run(session(), graph=CUSTOM)))

    assert found.info["MyLoader"]["output"] == ["*"] * 3
    assert not found.info["MyLoader"]["output_node"]
    assert found.info["MyOutput"]["output_node"]
    assert sorted(found.info["MyOutput"]["input"]["optional"]) == ["first", "second"]


def test_odd_answers_and_graphs_describe_nothing() -> None:
    recording = session()
    recording.asked(9, "GET", "/object_info", answer=[1])
    recording.asked(10, "GET", "/object_info/A", answer={"A": 1, "B": {"input": 1}})

    found = node_classes_of(timeline(run(recording, graph={"1": {"class_type": None}})))

    assert found.described == frozenset()
