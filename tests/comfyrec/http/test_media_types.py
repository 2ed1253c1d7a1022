"""The media types that Python and aiohttp guess from a file's name."""

from __future__ import annotations

import pytest

from comfyrec.http.media_types import OCTETS, guessed_type, served_type


@pytest.mark.parametrize(
    ("name", "guessed", "served"),
    [
        ("a.PNG", "image/png", "image/png"),
        ("a.b.json", "application/json", "application/json"),
        (".png", OCTETS, OCTETS),
        ("none", OCTETS, OCTETS),
        ("a.webp", "image/webp", OCTETS),
        ("a.js", "application/javascript; charset=utf-8", "application/javascript"),
        ("a.xml", "application/xml", "text/xml"),
        ("a.safetensors", "application/safetensors", OCTETS),
        ("a.gz", OCTETS, "application/gzip"),
        ("a.tar.gz", "application/x-tar", "application/gzip"),
        ("a.tgz", "application/x-tar", "application/gzip"),
        ("a.svgz", "image/svg+xml", "application/gzip"),
    ],
)
def test_a_type_follows_from_the_extension(name: str, guessed: str, served: str) -> None:
    assert (guessed_type(name), served_type(name)) == (guessed, served)


def test_comfyui_told_python_of_model_files_only_later() -> None:
    assert guessed_type("a.ckpt", models=False) == OCTETS
    assert guessed_type("a.svg", models=False) == "image/svg+xml"
