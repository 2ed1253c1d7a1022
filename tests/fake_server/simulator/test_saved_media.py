"""Saved files that are no pictures, and what text and size nodes make, as 0.27.0 does it."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from PIL import Image

from comfyrec.versions import era_of
from fake_server.nodes.saving import as_called
from fake_server.nodes.values import Value
from fake_server.storage.media import LATENT_MAX, media
from tests.support.engine_bench import CATALOGUE, Rig, node

MAKE = node("EmptyImage", width=16, height=8, batch_size=2, color=1)
AUDIO = node("EmptyAudio", duration=1.0, sample_rate=44100, channels=2)
VIDEO = node("CreateVideo", images=["1", 0], fps=8.0)
LATENT = node("EmptyLatentImage", width=64, height=32, batch_size=2)
TONE = {"audio": ["a", 0]}


def rig_of(version: str = "0.27.0") -> Rig:
    rig = Rig(version=version)
    rig.connect("A")
    rig.told()
    return rig


def shown(rig: Rig, prompt: dict[str, Any], node_id: str) -> dict[str, Any]:
    entry = rig.history(rig.queue(prompt))
    assert entry["status"]["status_str"] == "success", entry["status"]
    found: dict[str, Any] = entry["outputs"][node_id]
    return found


def content(rig: Rig, file: dict[str, Any]) -> bytes:
    stored = rig.folders.read(file["type"], file["subfolder"], file["filename"])
    assert stored is not None, file
    return stored.data


SAVED: list[tuple[dict[str, Any], str, str, bytes]] = [
    (node("SaveAudio", **TONE, filename_prefix="audio/x"), "audio", "x_00001.flac", b"fLaC"),
    (
        node("SaveAudioMP3", **TONE, filename_prefix="audio/x", quality="V0"),
        "audio", "x_00001.mp3", b"ID3",
    ),
    (
        node("SaveAudioOpus", **TONE, filename_prefix="audio/x", quality="128k"),
        "audio", "x_00001.opus", b"OggS",
    ),
    (
        node("SaveVideo", video=["v", 0], filename_prefix="audio/x", format="auto", codec="auto"),
        "images", "x_00001_.mp4", b"\0\0\0",
    ),
    (
        node("SaveWEBM", images=["1", 0], filename_prefix="audio/x", codec="vp9", fps=8.0, crf=32),
        "images", "x_00001_.webm", b"\x1a\x45\xdf\xa3",
    ),
    (
        node("SaveLatent", samples=["l", 0], filename_prefix="audio/x"),
        "latents", "x_00001_.latent", b"",
    ),
]  # fmt: skip
IDS = [row[0]["class_type"] for row in SAVED]


@pytest.mark.parametrize("saver, under, name, start", SAVED, ids=IDS)
def test_what_is_no_picture_is_saved_under_its_own_name(
    saver: dict[str, Any], under: str, name: str, start: bytes
) -> None:
    rig = rig_of()

    output = shown(rig, {"1": MAKE, "a": AUDIO, "v": VIDEO, "l": LATENT, "s": saver}, "s")

    assert output[under] == [{"filename": name, "subfolder": "audio", "type": "output"}]
    assert output.get("animated") == ([True] if under == "images" else None)
    assert content(rig, output[under][0]).startswith(start)


def test_a_second_file_of_sound_has_the_next_number() -> None:
    rig = rig_of()
    saver = node("SaveAudio", **TONE, filename_prefix="x")
    shown(rig, {"a": AUDIO, "s": saver}, "s")

    again = shown(
        rig, {"a": AUDIO | {"inputs": {**AUDIO["inputs"], "duration": 2.0}}, "s": saver}, "s"
    )

    assert again["audio"][0]["filename"] == "x_00002.flac"


def test_older_servers_end_the_number_of_sound_with_a_dash() -> None:
    rig = rig_of("0.8.0")

    output = shown(rig, {"a": AUDIO, "s": node("SaveAudio", **TONE, filename_prefix="x")}, "s")

    assert output["audio"][0]["filename"] == "x_00001_.flac"


def test_previewed_sound_is_a_temporary_file() -> None:
    rig = rig_of()

    [file] = shown(rig, {"a": AUDIO, "s": node("PreviewAudio", **TONE)}, "s")["audio"]

    assert file["type"] == "temp"
    assert file["filename"].startswith("ComfyUI_temp_")
    assert file["filename"].endswith("_00001.flac")


@pytest.mark.parametrize("given", ["../../etc/x", {}, None, 5])
def test_a_format_that_is_none_never_becomes_part_of_a_path(given: Any) -> None:
    kind = CATALOGUE.get("SaveAudioAdvanced")
    assert kind is not None
    inputs = {"format": Value(literal=given, known=True)}

    saves = as_called(kind.behaviour.saves, inputs, era_of())

    assert saves is not None
    assert saves.extension == "flac"


def test_a_latent_is_safetensors_with_the_graph_in_it() -> None:
    rig = rig_of()
    saver = node("SaveLatent", samples=["l", 0], filename_prefix="x")

    [file] = shown(rig, {"l": LATENT, "s": saver}, "s")["latents"]

    data = content(rig, file)
    [size] = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert header["latent_tensor"]["shape"] == [2, 4, 4, 8]
    assert header["latent_tensor"]["data_offsets"] == [0, len(data) - 8 - size]
    assert json.loads(header["__metadata__"]["prompt"])["s"] == saver


def test_a_latent_of_any_size_fits_into_memory() -> None:
    made = media("latent", shape=(4_096, 2_048, 2_048), texts={})
    assert made is not None

    assert len(made()) < LATENT_MAX


@pytest.mark.parametrize("extension", ["flac", "mp3", "opus", "mp4", "webm", "mkv", "svg", "glb"])
def test_every_kind_of_file_has_content(extension: str) -> None:
    made = media(extension, shape=(1, 8, 8), texts={})
    assert made is not None

    assert made()


def test_a_picture_with_transparency_is_saved_with_it() -> None:
    rig = rig_of()
    prompt = {
        "1": MAKE,
        "2": node("SolidMask", value=1.0, width=16, height=8),
        "3": node("JoinImageWithAlpha", image=["1", 0], alpha=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="x"),
    }

    files = shown(rig, prompt, "4")["images"]

    assert [Image.open(io.BytesIO(content(rig, file))).mode for file in files] == ["RGBA"] * 2


SIZES: list[tuple[dict[str, Any], tuple[int, int]]] = [
    (node("FluxKontextImageScale", image=["1", 0]), (1456, 720)),
    (node("ResizeImagesByLongerEdge", images=["1", 0], longer_edge=9), (9, 4)),
    (node("ResizeImagesByShorterEdge", images=["1", 0], shorter_edge=9), (18, 9)),
    (
        node(
            "ResizeAndPadImage", image=["1", 0], target_width=5, target_height=6,
            padding_color="white", interpolation="area",
        ),
        (5, 6),
    ),
    (
        node(
            "ImageScale", image=["1", 0], upscale_method="area", width=8, height=16, crop="center"
        ),
        (8, 16),
    ),
]  # fmt: skip


@pytest.mark.parametrize("scaler, size", SIZES, ids=[one["class_type"] for one, _ in SIZES])
def test_sizes_follow_from_what_a_node_is_told(
    scaler: dict[str, Any], size: tuple[int, int]
) -> None:
    rig = rig_of()
    show = node("GetImageSize", image=["2", 0])
    prompt = {"1": MAKE, "2": scaler, "3": show}

    width = shown(rig, {**prompt, "4": node("PreviewAny", source=["3", 0])}, "4")
    height = shown(rig, {**prompt, "4": node("PreviewAny", source=["3", 1])}, "4")

    assert (width["text"], height["text"]) == ([str(size[0])], [str(size[1])])


@pytest.mark.parametrize(
    "method, said",
    [
        (
            "bilinear",
            "Input and output sizes should be greater than 0, but got input (H: 0, W: 3) "
            "output (H: 3, W: 18)\n",
        ),
        (
            "area",
            "adaptive_avg_pool2d(): Expected input to have non-zero size for non-batch "
            "dimensions, but input has sizes [1, 3, 0, 3] with dimension 2 being empty\n",
        ),
        ("lanczos", None),
    ],
)
def test_a_cut_that_leaves_nothing_fails(method: str, said: str | None) -> None:
    rig = rig_of()
    scale = {"width": 18, "height": 3, "crop": "center", "upscale_method": method}
    prompt = {
        "1": node("EmptyImage", width=3, height=18, batch_size=1, color=1),
        "2": node("ImageScale", image=["1", 0], **scale),
        "3": node("PreviewImage", images=["2", 0]),
    }

    last = rig.history(rig.queue(prompt))["status"]["messages"][-1]

    assert last[1].get("exception_message") == said


def test_pictures_that_cannot_be_made_alike_are_not_joined() -> None:
    rig = rig_of()
    prompt = {
        "1": node("EmptyImage", width=18, height=3, batch_size=1, color=1),
        "2": node("EmptyImage", width=3, height=18, batch_size=1, color=1),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("PreviewImage", images=["3", 0]),
    }

    last = rig.history(rig.queue(prompt))["status"]["messages"][-1]

    assert (last[1]["node_id"], last[1]["exception_type"]) == ("3", "RuntimeError")


def resized(kind: Any, **more: Any) -> dict[str, Any]:
    inputs = {f"resize_type.{key}": value for key, value in more.items()}
    chosen = {} if kind is None else {"resize_type": kind}
    return node("ResizeImageMaskNode", input=["1", 0], scale_method="area", **chosen, **inputs)


RESIZES: list[tuple[dict[str, Any], tuple[int, int]]] = [
    (resized("scale dimensions", width=0, height=4, crop="disabled"), (8, 4)),
    (resized("scale by multiplier", multiplier=1.5), (24, 12)),
    (resized("scale longer dimension", longer_size=6), (6, 3)),
    (resized("scale shorter dimension", shorter_size=6), (12, 6)),
    (resized("scale width", width=4), (4, 2)),
    (resized("scale height", height=2), (4, 2)),
    (resized("scale total pixels", megapixels=0.01), (145, 72)),
    (resized("match size", match=["2", 0], crop="center"), (5, 7)),
    (resized("scale to multiple", multiple=5), (15, 5)),
    (resized("scale to multiple", multiple=9), (16, 8)),
]


@pytest.mark.parametrize(
    "resize, size", RESIZES, ids=[one["inputs"]["resize_type"] for one, _ in RESIZES]
)
def test_a_resize_follows_the_way_that_is_chosen(
    resize: dict[str, Any], size: tuple[int, int]
) -> None:
    rig = rig_of()
    other = node("EmptyImage", width=5, height=7, batch_size=1, color=1)
    show = node("SaveImage", images=["3", 0], filename_prefix="x")

    files = shown(rig, {"1": MAKE, "2": other, "3": resize, "4": show}, "4")["images"]

    assert [Image.open(io.BytesIO(content(rig, file))).size for file in files] == [size] * 2


@pytest.mark.parametrize("kind", [None, "no such way", 5])
def test_a_choice_that_is_none_is_accepted_and_does_not_reach_the_node(kind: Any) -> None:
    rig = rig_of()
    show = node("PreviewImage", images=["3", 0])

    entry = rig.history(rig.queue({"1": MAKE, "3": resized(kind), "4": show}))

    assert entry["status"]["messages"][-1][1]["exception_message"] == (
        "ResizeImageMaskNode.execute() missing 1 required positional argument: 'resize_type'\n"
    )


def test_an_input_that_a_choice_lacks_is_named_without_the_choice() -> None:
    rig = rig_of()
    show = node("PreviewImage", images=["3", 0])

    refusal = rig.refuse({"1": MAKE, "3": resized("scale width"), "4": show})

    [error] = refusal["node_errors"]["3"]["errors"]
    assert (error["type"], error["details"]) == ("required_input_missing", "width")
    assert error["extra_info"] == {"input_name": "resize_type.width"}


@pytest.mark.parametrize(
    "images, said",
    [
        (
            {"image0": ["1", 0], "image60": ["1", 0]},
            "BatchImagesNode.execute() got an unexpected keyword argument 'images.image60'\n",
        ),
        ({"image0": 5, "image1": ["1", 0]}, "'int' object has no attribute 'shape'\n"),
    ],
    ids=["beyond its bound", "a literal"],
)
def test_what_grows_is_called_as_it_was_given(images: dict[str, Any], said: str) -> None:
    rig = rig_of()
    batch = node("BatchImagesNode", **{f"images.{name}": one for name, one in images.items()})
    show = node("PreviewImage", images=["2", 0])

    entry = rig.history(rig.queue({"1": MAKE, "2": batch, "3": show}))

    assert entry["status"]["messages"][-1][1]["exception_message"] == said


def test_a_filter_needs_a_picture_that_is_bigger_than_what_it_mirrors() -> None:
    rig = rig_of()
    prompt = {
        "1": MAKE,
        "2": node("ImageBlur", image=["1", 0], blur_radius=8, sigma=1.0),
        "3": node("PreviewImage", images=["2", 0]),
    }

    last = rig.history(rig.queue(prompt))["status"]["messages"][-1]

    assert last[1]["exception_message"] == (
        "Argument #6: Padding size should be less than the corresponding input dimension, "
        "but got: padding (8, 8) at dimension 2 of input [2, 3, 8, 16]\n"
    )
