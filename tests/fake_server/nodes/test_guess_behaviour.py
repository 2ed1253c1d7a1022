"""What classes without a row of their own do, by their names, inputs and outputs."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.versions import era_of
from fake_server.nodes.guess_behaviour import saves_like, shows_like, values_like
from fake_server.nodes.saving import as_called
from fake_server.nodes.values import Value

ERA = era_of()


def known(value: Any) -> Value:
    return Value(literal=value, known=True)


SAVERS: list[tuple[str, dict[str, str], tuple[str, str, str] | None]] = [
    ("Image Save", {"images": "IMAGE"}, ("output", "png", "images")),
    ("MyWriter", {"images": "*", "filename_prefix": "STRING"}, ("output", "png", "images")),
    ("PreviewBridge", {"images": "IMAGE"}, ("temp", "png", "images")),
    ("SaveSound", {"audio": "AUDIO"}, ("output", "flac", "audio")),
    ("ExportVideo", {"video": "VIDEO"}, ("output", "mp4", "images")),
    ("SaveMesh", {"trimesh": "*"}, ("output", "glb", "3d")),
    ("Compute", {"images": "IMAGE"}, None),
    ("SaveNumber", {"a": "INT"}, None),
]


@pytest.mark.parametrize("name, inputs, wanted", SAVERS, ids=[row[0] for row in SAVERS])
def test_savers_and_viewers_are_known_by_their_names_and_inputs(
    name: str, inputs: dict[str, str], wanted: tuple[str, str, str] | None
) -> None:
    saves = saves_like(name, inputs, core=False)

    assert (saves and (saves.kind, saves.extension, saves.shows)) == wanted


FORMATS = [("video/h264-mp4", "mp4"), ("image/gif", "gif"), ("video/webm", "webm"), (5, "mp4"),
           ("../../x", "mp4"), ("video/nvenc_h264-mp4", "mp4"), ("image/webp", "webp")]  # fmt: skip


@pytest.mark.parametrize("media_type, extension", FORMATS, ids=str)
def test_a_combined_video_has_the_extension_of_its_format(media_type: Any, extension: str) -> None:
    inputs = {"images": "IMAGE", "frame_rate": "FLOAT", "format": "STRING"}
    saves = saves_like("VideoCombine", inputs, core=False)

    called = as_called(saves, {"format": known(media_type), "save_output": known(False)}, ERA)

    assert called is not None
    assert (called.shows, called.extension, called.kind) == ("gifs", extension, "temp")


def test_viewers_show_the_text_they_are_given() -> None:
    shows = shows_like("ShowText|someone", {"text": "STRING"})

    assert shows is not None
    assert shows({"text": known("hello")}, ERA) == {"text": ["hello"]}
    assert shows_like("Concatenate", {"text": "STRING"}) is None


def test_texts_and_numbers_are_passed_on_and_pictures_have_the_size_that_is_asked_for() -> None:
    gives = values_like(["STRING", "INT", "IMAGE", "BOOLEAN"])

    values = gives({"a": known("x"), "width": known(64), "height": known(32)})

    assert isinstance(values, list)
    text, number, picture, truth = values
    assert (text.literal, number.literal, truth.known) == ("x", 64, False)
    assert (picture.width, picture.height) == (64, 32)
