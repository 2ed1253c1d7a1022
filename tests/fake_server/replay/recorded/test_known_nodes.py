"""What prompts that were not recorded may use: nodes, model files and pictures."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from msgspec.structs import replace

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.timeline import Timeline
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.replay import SYNTHESIZED
from fake_server.replay.recorded.known_nodes import recorded_options, with_recorded_graphs
from tests.support.replay_rig import Rig
from tests.support.timeline_samples import Recording, run, session

Graph = dict[str, Any]

LOADERS: Graph = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "mine.safetensors"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    "3": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
}
IMAGE: Graph = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "me"}},
}
GONE: Graph = {"1": {"class_type": "Gone", "inputs": {"value": 1}}}
WAY_OUT = "start with --learn WORKFLOW.json, --object-info URL or --unknown-nodes accept"


def recording_of(graph: Graph, *, lists: Any = None, version: str = "0.33.0") -> Timeline:
    recording: Recording = session(comfyui_version=version)
    if lists is not None:
        recording.asked(30, "GET", "/object_info", answer=lists)
    return Timeline.build(run(recording, graph=graph).end())


def outcome(timeline: Timeline, graph: Graph, **options: Any) -> tuple[str, list[str]]:
    """``simulated`` and run to its end, or the type of the refusal; what was said."""
    said: list[str] = []
    rig = Rig(timeline, match="graph", notify=said.append, **options)
    rig.connect("mine")
    answer = rig.post(graph, "mine")
    body = json.loads(answer.body)
    if answer.status != 200:
        return body["error"]["type"], said
    rig.run()
    assert rig.get(f"/history/{body['prompt_id']}")[body["prompt_id"]]["status"]["completed"]
    return dict(answer.headers)[SYNTHESIZED], said


def test_the_nodes_of_the_recorded_version_are_there() -> None:
    assert outcome(recording_of(LOADERS), IMAGE)[0] == "simulated"


@pytest.mark.parametrize(
    "name", ["fresh-run-previews", "server-2024-txt2img", "server-0.3.10-queue", "all-cached"]
)
def test_a_plain_workflow_runs_whatever_was_recorded(name: str) -> None:
    with open_cassette(find_cassette(name)) as records:
        timeline = Timeline.build(records)

    assert outcome(timeline, IMAGE)[0] == "simulated"


def test_what_recorded_loaders_loaded_is_there() -> None:
    graph = deepcopy(LOADERS)
    graph["5"] = {"class_type": "ImageInvert", "inputs": {"image": ["3", 0]}}
    graph["4"]["inputs"]["images"] = ["5", 0]

    assert outcome(recording_of(LOADERS), graph)[0] == "simulated"


def test_a_server_that_said_all_its_nodes_has_no_others() -> None:
    lists = {"SaveImage": Catalogue.core().info("SaveImage")}

    kind, said = outcome(recording_of(LOADERS, lists=lists), IMAGE)

    assert kind == "missing_node_type"
    assert said[0].endswith(
        f"; neither the recorded object_info nor a recorded graph knows 'EmptyImage': {WAY_OUT}"
    )


def test_a_node_that_nobody_knows_is_refused_with_a_way_out() -> None:
    kind, said = outcome(recording_of(LOADERS), GONE)

    assert kind == "missing_node_type"
    assert "(missing_node_type: 'Gone')" in said[0]
    assert said[0].endswith(f"; neither the recording nor ComfyUI 0.33.0 knows 'Gone': {WAY_OUT}")


def test_each_way_out_leads_out() -> None:
    timeline = recording_of(LOADERS)
    output = {"input": {"required": {"value": ["INT", {}]}}, "output": [], "output_node": True}
    listed = Catalogue.from_object_info({"Gone": output})
    options = recorded_options(timeline)
    ways: list[ServerOptions] = [
        replace(options, accept_unknown_nodes=True),
        recorded_options(timeline, listed),
        replace(options, catalogue=options.node_classes.with_learned({"Gone": output}, {}, {})),
    ]

    assert [outcome(timeline, GONE, nodes=nodes)[0] for nodes in ways] == ["simulated"] * 3


def test_a_node_that_is_not_among_what_was_given_either_is_refused() -> None:
    timeline = recording_of(LOADERS)

    kind, said = outcome(timeline, GONE, nodes=recorded_options(timeline))

    assert kind == "missing_node_type"
    assert "neither the recording nor what this was started with knows 'Gone'" in said[0]


def test_the_version_is_the_recorded_one() -> None:
    options = recorded_options(recording_of(IMAGE, version="0.3.10"))

    assert options.era.version == "0.3.10"
    assert set(options.node_classes) == set(Catalogue.core(options.era))


def test_graphs_that_nothing_can_be_learned_from_are_left_out() -> None:
    timeline = recording_of({"1": {"class_type": None}, "2": {"class_type": "A", "inputs": 1}})
    options = recorded_options(timeline)

    learned = with_recorded_graphs(options, timeline)

    assert set(learned.node_classes) == set(options.node_classes)


def test_lists_that_describe_no_nodes_are_left_as_they_are() -> None:
    grown = ["COMFY_AUTOGROW_V3", {"template": 5}]
    lists = {"Odd": {"input": {"required": {"many": grown}}, "output": [], "output_node": True}}
    timeline = recording_of({"1": {"class_type": "Odd", "inputs": {"many": 1}}}, lists=lists)
    options = recorded_options(timeline)

    assert "Odd" in options.node_classes
    assert with_recorded_graphs(options, timeline) is options
