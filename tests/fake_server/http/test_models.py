"""What there is of models: previews."""

from __future__ import annotations

import json

from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import (
    ask,
    png,
)


def test_a_picture_beside_a_model_is_its_preview() -> None:
    server = SimulatedServer()
    server.context.folders.write("models/loras", "", "style.png", png(), 0)
    path = "/experiment/models/preview/loras"

    found = ask(server, "GET", f"{path}/0/style.safetensors")

    assert (found.status, found.body[:4]) == (200, b"RIFF")
    assert [
        ask(server, "GET", f"{path}/{rest}").status
        for rest in ("0/none.safetensors", "9/style.safetensors", "x/style.safetensors", "0/",
                     "0/../../x")
    ] == [404, 404, 400, 400, 403]  # fmt: skip


def test_each_folder_tells_what_its_models_end_in() -> None:
    told = json.loads(ask(SimulatedServer(), "GET", "/experiment/models").body)
    ends = {one["name"]: one["extensions"] for one in told}

    assert (ends["diffusers"], ends["classifiers"]) == (["folder"], [""])
    assert ".safetensors" in ends["loras"]


def test_what_a_loader_always_offers_is_no_file_of_its_folder() -> None:
    assert "pixel_space" not in json.loads(ask(SimulatedServer(), "GET", "/models/vae").body)
