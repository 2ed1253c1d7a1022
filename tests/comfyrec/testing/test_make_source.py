"""What a test's settings make."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyrec.cassette.files import write_cassette
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.observed import STORED_KEPT
from comfyrec.testing.settings import PluginSettings
from tests.support.large_bodies import LIVE, MADE, large_records, upload_form


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUI]:
    """A replay of large bodies, as a test has it."""
    cassette = tmp_path / "large.crec"
    write_cassette(cassette, large_records())
    comfyui = ComfyUI(PluginSettings(cassette=cassette))
    yield comfyui
    comfyui.close()


def test_large_bodies_of_a_replay_come_whole_and_only_their_beginnings_are_kept(
    comfyui: ComfyUI,
) -> None:
    fields = {"Content-Type": "multipart/form-data; boundary=B"}
    body = upload_form(LIVE, "live.png")
    upload = urllib.request.Request(f"{comfyui.url}/upload/image", body, fields)
    viewed = []
    for asked in (
        upload,
        f"{comfyui.url}/view?filename=live.png&type=input",
        f"{comfyui.url}/view?filename=made.png",
    ):
        with urllib.request.urlopen(asked, timeout=30) as answer:
            viewed.append(answer.read())

    assert viewed[1:] == [LIVE, MADE]
    sent, own, made = comfyui.requests
    assert sent.body == body[:STORED_KEPT]
    assert (own.answer, made.answer) == (LIVE[:STORED_KEPT], MADE[:STORED_KEPT])
