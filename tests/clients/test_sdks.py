"""Comfy's own SDKs, ``comfy-sdk`` and ``@comfyorg/sdk``: on the fake server and on recordings.

Each is driven by a program in ``sdks``, step by step. What it says is the same on the fake server,
through the recorder, and on the replay, where all ids, keys, seeds and addresses are other ones.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.testing.recording import Recording
from comfyrec.timeline import Timeline
from fake_server.options import ServerOptions
from fake_server.replay import Player
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.server.thread import serve
from fake_server.source import Source
from fake_server.surfaces.registry import choose_surface

DRIVERS = Path(__file__).parent / "sdks"
KEY = "comfyui-0123456789abcdef"
NODE_LEAST = 22

SURFACES = {
    "a gateway of one's own": ["v2"],
    "Comfy Cloud": [f"v2:token={KEY},content=redirect", f"cloud:key={KEY}"],
    "a deployment": [f"v2:token={KEY},prefix=/deployment/dep-1,links=relative"],
}


def python_sdk() -> list[str]:
    """An interpreter that has the package."""
    named = os.environ.get("COMFYREC_COMFY_SDK_PYTHON")
    if named is None and importlib.util.find_spec("comfy_sdk") is None:
        pytest.skip(
            "pip install comfy-sdk, or name the interpreter that has it with "
            "COMFYREC_COMFY_SDK_PYTHON, to run this"
        )
    return [named or sys.executable, str(DRIVERS / "driver.py")]


def npm_sdk() -> list[str]:
    """A node that is new enough, where the package is."""
    home = Path(os.environ.get("COMFYREC_COMFYORG_SDK", "node_modules/@comfyorg/sdk"))
    if not (home / "dist" / "index.js").exists():
        pytest.skip(
            "npm install @comfyorg/sdk, or name its folder with COMFYREC_COMFYORG_SDK, to run this"
        )
    beside = home.parent.parent / "node" / "bin" / "node"  # the npm package 'node' brings one
    node = str(beside) if beside.exists() else shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").partition(".")[0]) < NODE_LEAST:
        pytest.skip(f"@comfyorg/sdk needs node {NODE_LEAST}; npm install node beside it")
    return [node, str(DRIVERS / "driver.mjs")]


SDKS = {"comfy-sdk": python_sdk, "@comfyorg/sdk": npm_sdk}


def driven(driver: list[str], url: str, folder: Path, *, key: str) -> dict[str, Any]:
    """What the driver says of a server."""
    done = subprocess.run(
        [*driver, str(folder)],
        env={
            **os.environ,
            "COMFY_BASE_URL": url,
            "COMFY_API_KEY": key,
            "COMFYREC_COMFYORG_SDK": str(
                Path(
                    os.environ.get("COMFYREC_COMFYORG_SDK", "node_modules/@comfyorg/sdk")
                ).resolve()
            ),
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def fake(surfaces: list[str]) -> Source:
    """Nodes take as long as real ones, so that there is something to listen to and to cancel."""
    options = ServerOptions(surfaces=tuple(map(choose_surface, surfaces)))
    return scenario_source([choose("lifelike")], options)


@pytest.mark.long
@pytest.mark.parametrize("surfaces", SURFACES.values(), ids=SURFACES)
@pytest.mark.parametrize("sdk", SDKS.values(), ids=SDKS)
def test_an_sdk_does_the_same_on_the_fake_server_and_on_a_recording_of_it(
    sdk: Callable[[], list[str]], surfaces: list[str], tmp_path: Path
) -> None:
    driver, cassette = sdk(), tmp_path / "session.jsonl"
    key = KEY if "token" in surfaces[0] else ""
    prefix = "/deployment/dep-1" if "prefix" in surfaces[0] else ""

    with (
        serve(fake(surfaces), speed=1.0) as server,
        Recording(server.url.rstrip("/"), cassette) as recording,
    ):
        first = driven(driver, recording.url + prefix, tmp_path, key=key)
    with open_cassette(cassette) as records:
        timeline = Timeline.build(records)
    player = Player(timeline, strict=True, seed=7)
    with serve(player, speed=1.0) as server:
        again = driven(driver, server.url.rstrip("/") + prefix, tmp_path, key=key)
        once_more = driven(driver, server.url.rstrip("/") + prefix, tmp_path, key=key)

    check(first)
    assert again == once_more == first
    assert player.complaints == []
    assert KEY not in cassette.read_text()


def check(said: dict[str, Any]) -> None:
    """What each step has to come to, in both languages."""
    assert said["uploads"]["uploaded"] == [True, False, True]
    assert said["uploads"]["outputs"] == [["3", "inverted_00001_.png", "image", "image/png"]]
    assert said["uploads"]["bytes"] == [True, True, True]
    assert said["listens"]["at its pace"] is said["listens"]["my seed"] is True
    assert said["listens"]["states"] == ["succeeded"]
    assert said["listens"]["outputs"] == ["heard_00001_.png"]
    assert said["listens"]["progress"] == [1, True]
    assert said["cancels"][:2] == ["running", "canceled"]
    assert said["fails"]["failed"][1][0] == "node_execution_error"
    assert {step: one[0] for step, one in said["fails"].items()} == {
        "refused": "InvalidWorkflow",
        "as the page saves it": "WorkflowFormatUi",
        "missing asset": "MissingAsset",
        "failed": "JobFailed",
        "unknown job": "NotFound",
        "key used twice": "IdempotencyKeyReuse",
    }
    assert said["deletes"][0] == "NotFound"
