"""What savers write and show: pictures, moving ones, sound, video, latents, text."""

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
from tests.support.engine_bench import CATALOGUE, Rig, content, entry, node, rig_of, shown
from tests.support.engine_bench import catalogue as catalogue_with


def test_the_batch_number_in_a_prefix_is_filled_in_for_each_picture() -> None:
    rig = Rig()

    rig.queue(
        {
            "1": node("EmptyImage", width=8, height=8, batch_size=2, color=0),
            "2": node("SaveImage", images=["1", 0], filename_prefix="b%batch_num%"),
        }
    )

    assert rig.folders.names("output") == ["b0_00001_.png", "b1_00002_.png"]


SIZES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "scaled": (
        node(
            "ImageScale", image=["1", 0], upscale_method="area", width=0, height=6, crop="disabled"
        ),
        (8, 6, 2),
    ),
    "by a factor": (
        node("ImageScaleBy", image=["1", 0], upscale_method="area", scale_by=2.0),
        (32, 24, 2),
    ),
    "cropped": (node("ImageCrop", image=["1", 0], width=10, height=99, x=0, y=0), (10, 12, 2)),
    "padded": (
        node(
            "ImagePadForOutpaint", image=["1", 0], left=8, top=0, right=8, bottom=16, feathering=0
        ),
        (32, 28, 2),
    ),
    "joined": (node("ImageBatch", image1=["1", 0], image2=["1", 0]), (16, 12, 4)),
    "inverted": (node("ImageInvert", image=["1", 0]), (16, 12, 2)),
    "one of them": (node("ImageFromBatch", image=["1", 0], batch_index=0, length=1), (16, 12, 1)),
    "repeated": (node("RepeatImageBatch", image=["1", 0], amount=3), (16, 12, 6)),
}


@pytest.mark.parametrize("middle, wanted", SIZES.values(), ids=SIZES)
def test_saved_pictures_have_the_size_that_the_graph_asks_for(
    middle: dict[str, Any], wanted: tuple[int, int, int]
) -> None:
    from fake_server.storage.pictures import measure

    rig = Rig()
    prompt_id = rig.queue(
        {
            "1": node("EmptyImage", width=16, height=12, batch_size=2, color=0),
            "2": middle,
            "3": node("SaveImage", images=["2", 0], filename_prefix="s"),
        }
    )

    files = rig.history(prompt_id)["outputs"]["3"]["images"]
    kept = rig.folders.read("output", "", files[0]["filename"])
    assert kept is not None
    size = measure(kept.data)
    assert size is not None
    assert (*size[:2], len(files)) == wanted


def test_a_saved_picture_carries_its_graph() -> None:
    rig = Rig()
    prompt = {
        "1": node("Make", color=1),
        "2": node("SaveImage", images=["1", 0], filename_prefix="meta"),
    }

    rig.queue(prompt, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})

    kept = rig.folders.read("output", "", "meta_00001_.png")
    assert kept is not None
    assert b"tEXtprompt\0" + json.dumps(prompt).encode() in kept.data
    assert b'tEXtworkflow\0{"id": "w"}' in kept.data


@pytest.mark.parametrize("version, second", [("0.20.1", "t_00001.md"), ("0.27.0", "t_00002.md")])
def test_a_saved_text_counts_since_0_21(version: str, second: str) -> None:
    rig = Rig(version=version)
    prompts = [
        {
            "1": node("PrimitiveString", value=text),
            "2": node("SaveText", text=["1", 0], filename_prefix="t", format="md"),
        }
        for text in ("one", "two")
    ]

    outputs = [rig.history(rig.queue(prompt))["outputs"]["2"] for prompt in prompts]

    names = [output["files"][0]["filename"] for output in outputs]
    assert names == ["t_00001.md", second]
    assert outputs[1]["text"] == ["two"]
    kept = rig.folders.read("output", "", second)
    assert kept is not None
    assert kept.data == b"two"


@pytest.mark.parametrize("batch, animated", [(1, None), (3, [True])])
def test_a_moving_picture_is_one_file_of_a_whole_batch(batch: int, animated: Any) -> None:
    rig = Rig()

    prompt_id = rig.queue(
        {
            "1": node("EmptyImage", width=8, height=8, batch_size=batch, color=0),
            "2": node(
                "SaveAnimatedWEBP",
                images=["1", 0],
                filename_prefix="m",
                fps=6.0,
                lossless=True,
                quality=80,
                method="default",
            ),
        }
    )

    shown = rig.history(prompt_id)["outputs"]["2"]
    assert [one["filename"] for one in shown["images"]] == ["m_00001_.webp"]
    assert shown.get("animated") == animated


MAKE = node("EmptyImage", width=16, height=8, batch_size=2, color=1)


AUDIO = node("EmptyAudio", duration=1.0, sample_rate=44100, channels=2)


VIDEO = node("CreateVideo", images=["1", 0], fps=8.0)


LATENT = node("EmptyLatentImage", width=64, height=32, batch_size=2)


TONE = {"audio": ["a", 0]}


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


IMAGE = ["IMAGE"]


def rig_with(plan: dict[str, Any] | None = None, **more: Any) -> Rig:
    rig = Rig(plan, **more)
    rig.connect("A")
    rig.told()
    return rig


# class, frames, version -> what is said of its moving
MOVING: dict[str, tuple[str, int, str, Any]] = {
    "one frame": ("SaveAnimatedWEBP", 1, "0.27.0", None),
    "two frames": ("SaveAnimatedWEBP", 2, "0.27.0", [True]),
    "one frame, before 0.7": ("SaveAnimatedWEBP", 1, "0.3.64", [False]),
    "one frame as PNG": ("SaveAnimatedPNG", 1, "0.27.0", None),
    "one frame as PNG, before 0.7": ("SaveAnimatedPNG", 1, "0.3.64", [True]),
}


MOVERS = catalogue_with(
    SaveAnimatedPNG={
        **entry({"images": IMAGE, "filename_prefix": ["STRING", {}]}, (), output_node=True),
        "python_module": "comfy_extras.nodes_images",
    }
)


WEBP = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}


@pytest.mark.parametrize("kind, frames, version, said", MOVING.values(), ids=MOVING)
def test_a_moving_picture_of_one_frame_is_said_to_move_as_the_version_has_it(
    kind: str, frames: int, version: str, said: Any
) -> None:
    rig = rig_with(version=version, catalogue=MOVERS)
    batch = node("EmptyImage", width=8, height=8, batch_size=frames, color=0)
    save = node(kind, images=["1", 0], filename_prefix="a", **WEBP)

    prompt_id = rig.queue({"1": batch, "2": save})

    assert rig.history(prompt_id)["outputs"]["2"].get("animated") == said


BATCH = node("EmptyImage", width=8, height=6, batch_size=3, color=5)


def saved(rig: Rig, prompt: dict[str, Any], **more: Any) -> list[Any]:
    """Names and pictures of what the node "9" of a prompt has saved."""
    prompt_id = rig.queue(prompt, **more)
    rig.finish()
    found = []
    for one in rig.history(prompt_id)["outputs"]["9"]["images"]:
        file = rig.folders.read(one["type"], one["subfolder"], one["filename"])
        assert file is not None
        found.append((one["filename"], Image.open(io.BytesIO(file.data))))
    return found


def test_a_moving_picture_keeps_its_graph_behind_it_and_its_name_as_it_is() -> None:
    rig = rig_with()

    (name, made), = saved(rig, {
        "1": BATCH,
        "9": node("SaveAnimatedPNG", images=["1", 0], filename_prefix="a%batch_num%", fps=6.0,
                  compress_level=4),
    })  # fmt: skip

    assert name == "a%batch_num%_00001_.png"
    assert "prompt" not in made.info
    kept = rig.folders.read("output", "", name)
    assert kept is not None
    assert b"comfprompt\0{" in kept.data


def test_files_without_a_name_of_their_own_are_written_over() -> None:
    rig = rig_with()
    save = node("SaveImage", images=["1", 0], filename_prefix="")
    prompts = [
        {"1": {**BATCH, "inputs": {**BATCH["inputs"], "color": c}}, "9": save} for c in (1, 2)
    ]

    assert [[name for name, _ in saved(rig, one)] for one in prompts] == [
        ["._00001_.png", "._00002_.png", "._00003_.png"]
    ] * 2


@pytest.mark.parametrize("version, said", [("0.3.64", {}), ("0.27.0", {"animated": [False]})])
def test_a_shown_mask_says_that_it_stands_still_since_it_is_new(
    version: str, said: dict[str, Any]
) -> None:
    rig = rig_with(version=version)

    prompt_id = rig.queue({
        "1": node("SolidMask", value=1.0, width=4, height=4),
        "9": node("MaskPreview", mask=["1", 0]),
    })  # fmt: skip
    rig.finish()

    output = rig.history(prompt_id)["outputs"]["9"]
    assert {key: value for key, value in output.items() if key != "images"} == said
