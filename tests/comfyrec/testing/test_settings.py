"""The variables that name a server's address."""

from __future__ import annotations

from comfyrec.testing.settings import address_variables


def test_variables_name_the_address() -> None:
    variables = address_variables("http://127.0.0.1:8188")

    assert variables["COMFYUI_URL"] == "http://127.0.0.1:8188"
    assert (variables["COMFYUI_HOST"], variables["COMFYUI_PORT"]) == ("127.0.0.1", "8188")
