"""Which recorded prompt a live one stands for, tier by tier, refused ones included."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay import MATCHED, SYNTHESIZED
from fake_server.replay.player import UNMATCHED
from tests.support.replay_rig import Rig
from tests.support.timeline_samples import Recording, run, session

Graph = dict[str, Any]
JSON = "Content-Type: application/json\r\n"

IMAGE: Graph = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 1_234_567},
    },
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "ab12cd34"}},
}
LOAD: Graph = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "ab12cd34_in.png"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ab12cd34"}},
}
CUSTOM: Graph = {
    "7": {"class_type": "MyPrompt", "inputs": {"text": "a cat", "seed": 5, "strength": 0.5}},
    "9": {"class_type": "MyOutput", "inputs": {"value": ["7", 0], "note": "first"}},
}
ODD: Graph = {
    "7": {"class_type": "MyPrompt", "inputs": {"text": "a cat", "seed": 5, "strength": "strong"}},
    "9": {"class_type": "MyOutput", "inputs": {"value": ["7", 0], "note": "first"}},
}


def with_input(graph: Graph, node_id: str, **inputs: Any) -> Graph:
    graph = deepcopy(graph)
    graph[node_id]["inputs"].update(inputs)
    return graph


def without_input(graph: Graph, node_id: str, name: str) -> Graph:
    graph = deepcopy(graph)
    del graph[node_id]["inputs"][name]
    return graph


def renumbered(graph: Graph, by: int) -> Graph:
    """The same graph, every node id higher by so much."""
    text = json.dumps(graph)
    for node_id in sorted(graph, key=int, reverse=True):
        text = text.replace(f'"{node_id}"', f'"{int(node_id) + by}"')
    return json.loads(text)


def with_node(graph: Graph, node_id: str, class_type: str, **inputs: Any) -> Graph:
    return {**deepcopy(graph), node_id: {"class_type": class_type, "inputs": inputs}}


def refused(recording: Recording, conn: int, graph: Graph, kind: str, node: str, name: str) -> None:
    """A POST that the server refused for one input, or for a class when no node is named."""
    error = {"type": kind, "message": kind, "details": "", "extra_info": {}}
    problem = {"type": kind, "message": kind, "details": name, "extra_info": {"input_name": name}}
    node_errors: Any = {}
    if node:
        error["type"] = "prompt_outputs_failed_validation"
        class_type = graph[node]["class_type"]
        node_errors = {
            node: {"errors": [problem], "dependent_outputs": ["3"], "class_type": class_type}
        }
    recording.request(conn, "POST", "/prompt", {"prompt": graph, "client_id": "recorded"})
    recording.answer(conn, {"error": error, "node_errors": node_errors}, 400, headers=JSON)


NO_WIDTH = without_input(IMAGE, "1", "width")
TOO_WIDE = with_input(IMAGE, "1", width=99_999)
LOST = with_input(LOAD, "1", image="ab12cd34_lost.png")
UNKNOWN = with_node({}, "1", "NoSuch_ab12cd34")


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    recording = session(comfyui_version="0.33.0")
    for number, graph in enumerate((IMAGE, LOAD, CUSTOM)):
        prompt_id = f"c0ffee00-0000-4000-8000-00000000000{number}"
        run(recording, prompt_id=prompt_id, graph=graph, conn=10 + number, number=number)
    refused(recording, 20, NO_WIDTH, "required_input_missing", "1", "width")
    refused(recording, 21, TOO_WIDE, "value_bigger_than_max", "1", "width")
    refused(recording, 22, LOST, "custom_validation_failed", "1", "image")
    refused(recording, 23, UNKNOWN, "missing_node_type", "", "")
    refused(recording, 24, ODD, "invalid_strength", "7", "strength")
    return Timeline.build(recording.end())


def outcome(rig: Rig, live: Graph) -> str:
    """Which recorded prompt it was, and in which tier; what else came of it."""
    answer = rig.post(live, "mine")
    headers, body = dict(answer.headers), json.loads(answer.body)
    tier = headers.get(MATCHED, "the same")
    if answer.status == 200 and headers.get(SYNTHESIZED) == "simulated":
        return "simulated"
    if answer.status == 200:
        (playthrough, *_) = rig.player.playthroughs
        played = playthrough.live_state.prompts[-1].prompt
        return f"{('image', 'load', 'custom')[played.number]}, {tier}"
    errors = [each["type"] for one in dict(body["node_errors"]).values() for each in one["errors"]]
    said = errors or [body["error"]["type"]]
    made = "made up" if headers.get(SYNTHESIZED) == "refused" else tier
    return f"{' and '.join(said)}, {made}"


PAIRS: dict[str, tuple[Graph, str]] = {
    # The same graph.
    "the same image": (IMAGE, "image, the same"),
    "the same file": (LOAD, "load, the same"),
    "the same classes of an extension": (CUSTOM, "custom, the same"),
    "the same with a title": (
        {**IMAGE, "1": {**IMAGE["1"], "_meta": {"title": "Make"}}},
        "image, the same",
    ),
    "the same without a width": (NO_WIDTH, "required_input_missing, the same"),
    "the same, too wide": (TOO_WIDE, "value_bigger_than_max, the same"),
    "the same lost file": (LOST, "custom_validation_failed, the same"),
    "the same unknown class": (UNKNOWN, "missing_node_type, the same"),
    "the same odd value": (ODD, "invalid_strength, the same"),
    # The same but for volatile inputs.
    "another prefix": (with_input(IMAGE, "3", filename_prefix="cd56"), "image, structure"),
    "another seed": (with_input(CUSTOM, "7", seed=6), "custom, structure"),
    "another prefix of a loaded file": (
        with_input(LOAD, "3", filename_prefix="x"),
        "load, structure",
    ),
    # The same shape.
    "another color": (with_input(IMAGE, "1", color=7_654_321), "image, shape"),
    "another size": (with_input(IMAGE, "1", width=128, height=96), "image, shape"),
    "another text": (with_input(CUSTOM, "7", text="a dog"), "custom, shape"),
    "another text and seed": (with_input(CUSTOM, "7", text="a dog", seed=9), "custom, shape"),
    "another note": (with_input(CUSTOM, "9", note="second"), "custom, shape"),
    "everything another": (
        with_input(with_input(IMAGE, "1", color=9, width=8), "3", filename_prefix="ef78"),
        "image, shape",
    ),
    # A refused value, and values that are as odd.
    "no width, another color": (
        with_input(NO_WIDTH, "1", color=9),
        "required_input_missing, shape",
    ),
    "no width, another prefix": (
        with_input(NO_WIDTH, "3", filename_prefix="ef78"),
        "required_input_missing, structure",
    ),
    "as wide, another color": (
        with_input(TOO_WIDE, "1", color=9),
        "value_bigger_than_max, shape",
    ),
    "wider still": (with_input(IMAGE, "1", width=123_456), "value_bigger_than_max, shape"),
    "another lost file": (
        with_input(LOAD, "1", image="ef78ab90_lost.png"),
        "custom_validation_failed, shape",
    ),
    "another strange strength": (
        with_input(CUSTOM, "7", strength="weak"),
        "invalid_strength, shape",
    ),
    "another good strength": (with_input(CUSTOM, "7", strength=0.75), "custom, shape"),
    # The same under other node ids.
    "renumbered": (renumbered(IMAGE, 100), "image, renumbered"),
    "renumbered, with another color": (
        renumbered(with_input(IMAGE, "1", color=9), 100),
        "image, renumbered",
    ),
    "a renumbered file": (renumbered(LOAD, 40), "load, renumbered"),
    "renumbered classes of an extension": (renumbered(CUSTOM, 3), "custom, renumbered"),
    "renumbered, no width": (renumbered(NO_WIDTH, 100), "required_input_missing, renumbered"),
    "renumbered, too wide": (renumbered(TOO_WIDE, 100), "value_bigger_than_max, renumbered"),
    # Classes and links in common.
    "one node more": (
        with_node(IMAGE, "4", "SaveImage", images=["1", 0], filename_prefix="x"),
        "image, overlap",
    ),
    "two inverted": (
        with_input(with_node(IMAGE, "4", "ImageInvert", image=["2", 0]), "3", images=["4", 0]),
        "image, overlap",
    ),
    "a file, inverted": (
        with_input(with_node(LOAD, "2", "ImageInvert", image=["1", 0]), "3", images=["2", 0]),
        "image, overlap",
    ),
    "an optional input more": (with_input(CUSTOM, "9", more="x"), "custom, overlap"),
    "an output alone": (with_node({}, "1", "MyOutput", value=1, note="n"), "custom, overlap"),
    # What the recorded server would not take.
    "another unknown class": (
        with_node({}, "1", "NoSuch_ef78ab90"),
        "missing_node_type, made up",
    ),
    "an unknown class among known ones": (
        with_node(IMAGE, "4", "Gone", image=["1", 0]),
        "missing_node_type, made up",
    ),
    "no width, one node more": (
        with_node(NO_WIDTH, "4", "SaveImage", images=["1", 0], filename_prefix="x"),
        "required_input_missing, made up",
    ),
    "no height": (without_input(IMAGE, "1", "height"), "required_input_missing, made up"),
    "a negative width": (with_input(IMAGE, "1", width=-1), "value_smaller_than_min, made up"),
}


@pytest.mark.parametrize("live, expected", PAIRS.values(), ids=PAIRS)
def test_a_live_prompt_gets_its_tier(timeline: Timeline, live: Graph, expected: str) -> None:
    rig = Rig(timeline)
    rig.connect("mine")

    assert outcome(rig, live) == expected


def test_a_later_recorded_prompt_that_fits_better_does_not_use_up_an_earlier_one(
    timeline: Timeline,
) -> None:
    rig = Rig(timeline)
    rig.connect("mine")

    outcomes = [outcome(rig, graph) for graph in (LOAD, with_input(IMAGE, "1", color=9), LOAD)]

    assert outcomes == ["load, the same", "image, shape", "load, the same"]


def test_among_equals_the_order_of_the_recording_decides() -> None:
    recording = session(comfyui_version="0.33.0")
    for number, color in enumerate((1, 2, 3)):
        graph = with_input(IMAGE, "1", color=color * 1_000_003)
        prompt_id = f"c0ffee00-0000-4000-8000-00000000000{number}"
        run(recording, prompt_id=prompt_id, graph=graph, conn=10 + number, number=number)
    rig = Rig(Timeline.build(recording.end()))
    rig.connect("mine")

    for color in (9_000_001, 9_000_002, 9_000_003):
        rig.submit(with_input(IMAGE, "1", color=color), "mine")
        rig.run()

    (playthrough,) = rig.player.playthroughs
    assert [live.prompt.number for live in playthrough.live_state.prompts] == [0, 1, 2]


def test_what_was_recorded_once_is_played_a_hundred_times() -> None:
    rig = Rig(Timeline.build(run(session(), graph=IMAGE).end()))
    socket = rig.connect("mine")

    for color in range(100):
        rig.submit(with_input(IMAGE, "1", color=color), "mine")
    rig.run()

    assert socket.types.count("execution_success") == 100


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"prompt": []}', b'{"prompt": {}}', b"\xff"])
def test_what_is_no_graph_is_refused(timeline: Timeline, body: bytes, strict: bool) -> None:
    rig = Rig(timeline, strict=strict)

    answer = rig.ask("POST", "/prompt", body)

    assert answer.status in (400, 500)


UNMATCHED_GRAPH: Graph = {
    "1": {"class_type": "MyOther", "inputs": {"value": 1}},
}


@pytest.fixture
def two_kinds() -> Timeline:
    """A recording whose object_info describes a class that no recorded prompt uses."""
    info = {
        "input": {"required": {"value": ["INT", {}]}},
        "output": [],
        "output_node": True,
        "python_module": "custom_nodes.other",
    }
    recording = session(comfyui_version="0.33.0")
    recording.asked(30, "GET", "/object_info/MyOther", answer={"MyOther": info})
    run(recording, graph=CUSTOM)
    return Timeline.build(recording.end())


def test_a_prompt_like_no_recorded_one_is_simulated(two_kinds: Timeline) -> None:
    notices: list[str] = []
    rig = Rig(two_kinds, notify=notices.append)
    socket = rig.connect("mine")

    answer = rig.post(UNMATCHED_GRAPH, "mine")
    prompt_id = json.loads(answer.body)["prompt_id"]
    queued = rig.get("/queue")["queue_running"]
    rig.run()

    assert dict(answer.headers)[SYNTHESIZED] == "simulated"
    assert [item[1] for item in queued] == [prompt_id]
    assert socket.about(prompt_id)[-1] == "executing"
    assert rig.get(f"/history/{prompt_id}")[prompt_id]["status"]["completed"]
    assert list(rig.get("/history")) == [prompt_id]
    assert (
        len(notices) == 1 and "was not recorded and is simulated; closest: exchange" in notices[0]
    )


def test_what_is_played_of_a_prompt_that_overlaps_is_said(two_kinds: Timeline) -> None:
    notices: list[str] = []
    rig = Rig(two_kinds, notify=notices.append)
    rig.connect("mine")

    answer = rig.post(with_node(CUSTOM, "77", "MyOther", value=2), "mine")

    assert (answer.status, dict(answer.headers)[MATCHED]) == (200, "overlap")
    assert "X-Comfyrec-Unmatched" not in dict(answer.headers)
    (said,) = notices
    assert said.startswith("only parts of a prompt were recorded, and exchange ")
    assert "node 77 (MyOther) was not there" in said
    assert said.endswith("with --match renumbered it is simulated")


def test_a_simulated_prompt_can_be_interrupted(two_kinds: Timeline) -> None:
    rig = Rig(two_kinds)
    socket = rig.connect("mine")
    prompt_id = rig.submit(with_node(UNMATCHED_GRAPH, "2", "MyOther", value=2), "mine")
    rig.run_to(socket, "executing")

    rig.ask("POST", "/interrupt")
    rig.run()

    assert "execution_interrupted" in socket.about(prompt_id)


def test_a_prompt_like_no_recorded_one_may_stand_for_the_next_one(two_kinds: Timeline) -> None:
    notices: list[str] = []
    rig = Rig(two_kinds, unmatched="next", notify=notices.append)
    rig.connect("mine")

    answer = rig.post(UNMATCHED_GRAPH, "mine")

    assert (answer.status, dict(answer.headers)[MATCHED]) == (200, "any")
    assert "the next recorded one is played" in notices[0]


def test_a_prompt_like_no_recorded_one_may_be_refused(two_kinds: Timeline) -> None:
    rig = Rig(two_kinds, unmatched="refuse")
    rig.connect("mine")

    answer = rig.post(UNMATCHED_GRAPH, "mine")

    assert answer.status == 400
    assert json.loads(answer.body)["error"]["type"] == "prompt_not_recorded"


REFUSED = {
    "an unknown class": (
        {"1": {"class_type": "Gone", "inputs": {}}, **with_node(CUSTOM, "8", "Lost")},
        "missing_node_type: 'Gone', missing_node_type: 'Lost'",
    ),
    "an input out of bounds": (
        with_input(IMAGE, "1", width=-5),
        "value_smaller_than_min: EmptyImage.width",
    ),
}


@pytest.mark.parametrize("graph, why", REFUSED.values(), ids=REFUSED)
def test_why_a_prompt_is_refused_as_the_recorded_server_would_is_said(
    timeline: Timeline, graph: Graph, why: str
) -> None:
    notices: list[str] = []
    rig = Rig(timeline, match="structure", notify=notices.append)
    rig.connect("mine")

    answer = rig.post(graph, "mine")

    said = (
        f"a prompt was not recorded and is refused as the recorded server would refuse it ({why})"
    )
    assert answer.status == 400
    assert [one.partition("; closest")[0] for one in notices] == [said]
    assert dict(answer.headers)[UNMATCHED].startswith(said)


def test_a_prompt_that_no_next_one_is_left_for_is_said_to_be_refused(two_kinds: Timeline) -> None:
    notices: list[str] = []
    rig = Rig(two_kinds, unmatched="refuse", notify=notices.append)
    rig.connect("mine")

    assert rig.post(UNMATCHED_GRAPH, "mine").status == 400

    assert "is refused" in notices[0]


def test_there_are_forty_pairs() -> None:
    assert len(PAIRS) >= 40


def test_a_strict_replay_says_once_what_it_refuses(two_kinds: Timeline) -> None:
    notices: list[str] = []
    rig = Rig(two_kinds, strict=True, notify=notices.append)

    assert rig.post(UNMATCHED_GRAPH, "mine").status == 500

    (said,) = notices
    assert said.startswith("this prompt was not recorded; closest: POST /prompt")
