"""POST /prompt: what is counted, refused, or breaks the handler."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import (
    ask,
)

GRAPH = {
    "1": {"class_type": "EmptyImage",
          "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "numbers"),
    [(["prompt"], 1), ("prompt", 1), (["number"], 0), ([], 1), (None, 0), ({"number": 5}, 0)],
)
def test_a_refused_prompt_takes_a_number_when_the_server_came_so_far(
    body: Any, numbers: int
) -> None:
    server = SimulatedServer()
    ask(server, "POST", "/prompt", body)

    told = json.loads(ask(server, "POST", "/prompt", {"prompt": GRAPH}).body)

    assert told["number"] == numbers


EMPTY: dict[str, Any] = {"prompt": {}}


RUNS: dict[str, Any] = {
    "prompt": {
        "1": {"class_type": "EmptyImage", "inputs": {
            "width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "beside", "status"),
    [
        (EMPTY, {"partial_execution_targets": False}, 400),
        (EMPTY, {"partial_execution_targets": 0}, 400),
        (RUNS, {"partial_execution_targets": 0}, 500),
        (RUNS, {"partial_execution_targets": "12"}, 200),
        (EMPTY, {"extra_data": "AAA"}, 400),
        (EMPTY, {"extra_data": [None]}, 400),
        (EMPTY, {"extra_data": None}, 500),
        (EMPTY, {"extra_data": "AAA", "client_id": "c"}, 500),
        (RUNS, {"extra_data": "AAA"}, 500),
        (RUNS, {"extra_data": {"comfy_usage_source": "mine"}}, 200),
        ({"prompt": {"1": {}, "2": 5}}, {}, 500),
        ({"prompt": {"1": {}, "2": []}}, {}, 400),
        ({"prompt": {"1": {}, "2": "class_type, inputs"}}, {}, 500),
        ({"prompt": {"1": {}, "2": "neither"}}, {}, 400),
        ({"prompt": {"1": [], "2": {}}}, {}, 500),
    ],
)
def test_what_is_wrong_beside_a_prompt_counts_when_the_server_gets_there(
    prompt: dict[str, Any], beside: dict[str, Any], status: int
) -> None:
    assert (
        ask(SimulatedServer(ServerOptions()), "POST", "/prompt", {**prompt, **beside}).status
        == status
    )


@pytest.mark.parametrize("inputs", [None, [], "text", 5])
def test_inputs_that_are_no_object_break_the_search_for_retired_nodes(inputs: Any) -> None:
    prompt = {"1": {"class_type": "PreviewImage", "inputs": inputs}}

    assert ask(SimulatedServer(), "POST", "/prompt", {"prompt": prompt}).status == 500


@pytest.mark.parametrize(
    ("method", "target", "headers", "value"),
    [
        ("GET", "/x.png", [], "public, max-age=86400"),
        ("GET", "/userdata/none.png", [], "public, max-age=3600"),
        ("GET", "/userdata/there.png", [("If-None-Match", "*")], "public, max-age=86400"),
        ("GET", "/userdata/there.png", [("Range", "bytes=9-")], "public, max-age=86400"),
        ("GET", "/userdata/folder.png", [], "public, max-age=86400"),
        ("POST", "/x.png", [], None),
    ],
)
def test_a_file_is_taken_for_found_when_caching_is_decided(
    method: str, target: str, headers: list[tuple[str, str]], value: str | None
) -> None:
    server = SimulatedServer()
    for name in ("there.png", "folder.png%2Fx"):
        ask(server, "POST", f"/userdata/{name}", b"x")

    shown = ask(server, method, target, b"", *headers)

    assert dict(shown.headers).get("Cache-Control") == value


CUSTOM = {
    **GRAPH,
    "3": {"class_type": "VHS_VideoCombine", "inputs": {
        "images": ["1", 0], "frame_rate": 8, "format": "video/h264-mp4",
        "filename_prefix": "clip", "save_output": True}},
    "4": {"class_type": "Caf\u00e9 (fast)", "inputs": {"a": ["1", 0]}},
}  # fmt: skip


def test_unknown_classes_may_be_accepted_and_show_what_they_look_like() -> None:
    server = SimulatedServer(ServerOptions(accept_unknown_nodes=True))

    answer = ask(server, "POST", "/prompt", {"prompt": CUSTOM})

    assert answer.status == 200
    [entry] = server.engine.history.values()
    assert entry["outputs"]["3"] == {
        "gifs": [
            {
                "filename": "clip_00001.mp4",
                "subfolder": "",
                "type": "output",
                "format": "video/h264-mp4",
                "frame_rate": 8.0,
                "fullpath": "/ComfyUI/output/clip_00001.mp4",
            }
        ]
    }
    assert "VHS_VideoCombine" in json.loads(ask(server, "GET", "/object_info").body)


def test_a_class_that_was_accepted_may_be_used_otherwise_the_next_time() -> None:
    server = SimulatedServer(ServerOptions(accept_unknown_nodes=True))
    uses = [
        {"1": {"class_type": "Mine", "inputs": {"a": 1, "b": "x"}}},
        {"1": {"class_type": "Mine", "inputs": {"a": "text"}}},
        {
            "1": {"class_type": "Mine", "inputs": {}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 3]}},
        },
    ]

    answers = [ask(server, "POST", "/prompt", {"prompt": one}) for one in uses]

    assert [json.loads(one.body).get("node_errors") for one in answers] == [{}, {}, {}]


def test_accepting_unknown_classes_accepts_nothing_else() -> None:
    server = SimulatedServer(ServerOptions(accept_unknown_nodes=True))
    wrong = {**CUSTOM, "1": {"class_type": "EmptyImage", "inputs": {"width": 0}}}

    answers = [ask(server, "POST", "/prompt", {"prompt": one}).status for one in (wrong, {"1": 5})]

    assert answers == [400, 500]
