"""How large pictures come out of core nodes, as 0.27.0 makes them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from fake_server.storage.pictures import picture
from tests.support.engine_bench import Rig, content, node, rig_of, shown

MAKE = node("EmptyImage", width=16, height=8, batch_size=2, color=1)


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


def rig_with(plan: dict[str, Any] | None = None, **more: Any) -> Rig:
    rig = Rig(plan, **more)
    rig.connect("A")
    rig.told()
    return rig


SAVED = node("SaveImage", images=["2", 0], filename_prefix="a")


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


@pytest.mark.parametrize("made, count, size", [
    (node("ImageFromBatch", image=["1", 0], batch_index=-1, length=2), 1, (8, 6)),
    (node("ImageFromBatch", image=["1", 0], batch_index=9, length=3), 1, (8, 6)),
    (node("ImageFromBatch", image=["1", 0], batch_index=1, length=9), 2, (8, 6)),
    (node("ImageCrop", image=["1", 0], x=8, y=11, width=8, height=3), 3, (1, 1)),
    (node("ImageCrop", image=["1", 0], x=5, y=0, width=6, height=4), 3, (3, 4)),
    (node("ImageRotate", image=["1", 0], rotation="90 degrees"), 3, (6, 8)),
    (node("ImageRotate", image=["1", 0], rotation="180 degrees"), 3, (8, 6)),
])  # fmt: skip
def test_a_picture_has_the_size_that_the_real_node_gives_it(
    made: dict[str, Any], count: int, size: tuple[int, int]
) -> None:
    found = saved(rig_with(), {"1": BATCH, "2": made, "9": SAVED})

    assert [picture.size for _, picture in found] == [size] * count


def test_the_mask_of_a_picture_without_transparency_has_a_size_of_its_own() -> None:
    rig = rig_with()
    for name, mode in (("rgb.png", "RGB"), ("rgba.png", "RGBA")):
        data = picture(width=9, height=7, seed=1, mode=mode)
        rig.folders.write("input", "", name, data, 0)

    sizes = [
        saved(rig, {
            "1": node("LoadImage", image=name), "3": node("MaskToImage", mask=["1", 1]),
            "9": node("SaveImage", images=["3", 0], filename_prefix="m"),
        })[0][1].size
        for name in ("rgb.png", "rgba.png")
    ]  # fmt: skip

    assert sizes == [(64, 64), (9, 7)]
