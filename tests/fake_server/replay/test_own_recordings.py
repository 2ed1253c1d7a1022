"""What the engine says, recorded through the proxy, replays itself: the whole circle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.client.shells.blocking import Client
from comfyrec.testing.make_source import make_source
from comfyrec.testing.recording import Recording
from comfyrec.testing.settings import PluginSettings
from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.options import ServerOptions
from fake_server.replay import replay_differences
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer

GRAPH: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255},
    },
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "a"}},
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "success": ("success", {}),
    "progress and previews": (
        "success",
        {"nodes": {"2": {"steps": 5, "previews": {"format": "JPEG", "size": [32, 32]}}}},
    ),
    "an error": ("success", {"nodes": {"2": {"raise": {"type": "ValueError", "message": "no"}}}}),
    "a blocked output": ("success", {"nodes": {"2": {"block": "not today"}}}),
    "own ui keys": ("success", {"nodes": {"4": {"ui": {"text": ["x"], "value": [1.5]}}}}),
    "all cached": ("all-cached", {}),
    "nan": ("nan-in-json", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "params"), RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("suffix", [".jsonl", ".crec"])
def test_what_the_engine_said_replays_itself(
    tmp_path: Path, name: str, params: dict[str, Any], suffix: str
) -> None:
    cassette = tmp_path / f"run{suffix}"
    source = make_source(PluginSettings(scenario=name, params=params))
    with (
        serve(source, speed=MAX) as server,
        Recording(server.url, cassette) as proxy,
        Client(proxy.url) as client,
    ):
        outcomes = [client.run(GRAPH, timeout_s=20).outcome for _ in range(2)]

    with open_cassette(cassette) as records:
        timeline = Timeline.build(records)

    assert len(timeline.prompts) >= len(outcomes)
    assert replay_differences(timeline) == []


def test_metadata_of_a_prompt_changes_nothing_for_a_client_and_replays_itself(
    tmp_path: Path,
) -> None:
    cassette = tmp_path / "run.jsonl"
    source = SimulatedServer(ServerOptions(era=era_of("0.40.0")))
    plain: list[str] = []
    stamped: list[str] = []
    with (
        serve(source, speed=MAX) as server,
        Recording(server.url, cassette) as proxy,
        Client(proxy.url) as client,
    ):
        without = client.run(GRAPH, on_event=lambda told: plain.append(told.type), timeout_s=20)
        again = {**GRAPH, "1": {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "color": 1}}}
        body = {"prompt": again, "workflow_metadata": {"workflow_id": "w", "trace": [7]}}
        result = client.run(body, on_event=lambda told: stamped.append(told.type), timeout_s=20)

    with open_cassette(cassette) as records:
        timeline = Timeline.build(records)

    assert (result.outcome, result.detected_by) == (without.outcome, "frames")
    assert _of_prompt(stamped) == _of_prompt(plain)
    said = [m for socket in timeline.sockets for m in socket.received]
    assert sum('"workflow_id": "w"' in m.data for m in said if isinstance(m.data, str)) > 5
    assert replay_differences(timeline) == []


def _of_prompt(told: list[str]) -> list[str]:
    """What a client is told of a prompt, not of its socket and of the queue."""
    return [kind for kind in told if kind not in ("status", "feature_flags")]
