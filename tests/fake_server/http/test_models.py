"""What there is of models: previews."""

from __future__ import annotations

from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import ask, png


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
