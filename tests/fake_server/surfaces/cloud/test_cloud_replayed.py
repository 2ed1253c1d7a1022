"""A session with Comfy Cloud, recorded and replayed to the same client: token, redirect, seed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.testing.recording import Recording
from comfyrec.timeline import Timeline
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.replay import Player
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from fake_server.surfaces.cloud import CloudSettings

KEY = "sk-0123456789abcdef"


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def graph(seed: int) -> dict[str, Any]:
    sampler = {"sampler_name": "euler", "scheduler": "normal", "steps": 2, "cfg": 7, "denoise": 1}
    given = {
        "model": ["1", 0],
        "positive": ["2", 0],
        "negative": ["2", 0],
        "latent_image": ["4", 0],
    }
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"),
        "2": node("CLIPTextEncode", text="a bridge", clip=["1", 1]),
        "3": node("KSampler", seed=seed, **sampler, **given),
        "4": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "5": node("VAEDecode", samples=["3", 0], vae=["1", 2]),
        "6": node("SaveImage", images=["5", 0], filename_prefix="c"),
    }


async def session(url: str, seed: int) -> dict[str, Any]:
    """What a client of Comfy Cloud sees."""
    seen: dict[str, Any] = {}
    keys = {"X-API-Key": KEY}
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        async with http.ws_connect(f"{url}/ws?token={KEY}&clientId=c") as socket:
            body = {"prompt": graph(seed)}
            async with http.post(f"{url}/api/prompt", json=body, headers=keys) as answer:
                prompt_id = (await answer.json())["prompt_id"]
            heard = []
            while not heard or heard[-1]["type"] != "execution_success":
                heard.append(await socket.receive_json())
        shown = next(one["data"] for one in heard if one["type"] == "executed")
        seen["types"] = list(dict.fromkeys(one["type"] for one in heard))
        seen["mine"] = {one["data"].get("prompt_id", prompt_id) == prompt_id for one in heard}
        async with http.get(f"{url}/api/job/{prompt_id}/status", headers=keys) as answer:
            told = await answer.json()
        seen["status"] = told["status"], told["id"] == prompt_id
        (file,) = shown["output"]["images"]
        there = f"{url}/api/view"
        async with http.get(there, params=file, headers=keys, allow_redirects=False) as answer:
            seen["view"], location = answer.status, answer.headers["Location"]
        async with http.get(location) as answer:
            seen["file"] = answer.status, (await answer.read())[:4]
        async with http.get(f"{url}/api/history_v2/{prompt_id}", headers=keys) as answer:
            entry = (await answer.json())[prompt_id]
        seen["my seed"] = entry["prompt"]["prompt"]["3"]["inputs"]["seed"] == seed
    return seen


@pytest.mark.slow
def test_the_same_client_sees_the_same_with_another_seed(tmp_path: Path) -> None:
    cassette = tmp_path / "cloud.jsonl"
    surfaces = (SurfaceChoice("cloud", CloudSettings(key=KEY)),)
    fake = scenario_source([choose("success")], ServerOptions(surfaces=surfaces))

    with (
        serve(fake, speed=MAX) as server,
        Recording(server.url.rstrip("/"), cassette) as recording,
    ):
        first = asyncio.run(session(recording.url, 1))
    with open_cassette(cassette) as records:
        player = Player(Timeline.build(records), strict=True)
    with serve(player, speed=MAX) as server:
        again = [asyncio.run(session(server.url.rstrip("/"), seed)) for seed in (2, 3)]

    assert first["view"] == 302
    assert first["file"] == (200, b"\x89PNG")
    assert "notification" in first["types"]
    assert first["mine"] == {True}
    assert first["status"] == ("success", True)
    assert again == [first, first]
    assert player.complaints == []
    assert KEY not in cassette.read_text()
