"""The workflow of every task type is one that the simulated server takes and runs."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.simulated_server import SimulatedServer
from fake_server.surfaces.task_graphs import GRAPHS
from tests.support.source_client import ask, json_of

PARAMETERS: dict[str, dict[str, Any]] = {
    "none": {},
    "sizes": {"width": 128, "height": 32, "length": 3},
    "sizes that are not numbers": {"width": "wide", "height": None, "length": []},
    "sizes out of bounds": {"width": 0, "height": 100_000, "length": -1},
}


@pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS)
@pytest.mark.parametrize("kind", GRAPHS)
def test_a_task_of_any_parameters_has_a_workflow_that_runs(
    kind: str, parameters: dict[str, Any]
) -> None:
    server = SimulatedServer()

    accepted = json_of(ask(server, "POST", "/prompt", {"prompt": GRAPHS[kind](parameters)}))
    [entry] = json_of(ask(server, "GET", "/history")).values()

    assert accepted["node_errors"] == {}
    assert entry["status"]["status_str"] == "success"


def test_sizes_are_those_that_were_asked_for() -> None:
    graph = GRAPHS["txt2img"]({"width": 128, "height": 32})

    assert (graph["1"]["inputs"]["width"], graph["1"]["inputs"]["height"]) == (128, 32)


def test_a_video_has_as_many_pictures_as_frames_up_to_sixteen() -> None:
    sizes = [
        GRAPHS["txt2vid"]({"length": length})["1"]["inputs"]["batch_size"] for length in (3, 99)
    ]

    assert sizes == [3, 16]
