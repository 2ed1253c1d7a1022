"""How core nodes fail on pictures that they cannot use, and on choices that they lack."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.storage.pictures import picture
from tests.support.engine_bench import Rig, node

MAKE = node("EmptyImage", width=16, height=8, batch_size=2, color=1)


def rig_of(version: str = "0.27.0") -> Rig:
    rig = Rig(version=version)
    rig.connect("A")
    rig.told()
    return rig


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


def rig_with(plan: dict[str, Any] | None = None, **more: Any) -> Rig:
    rig = Rig(plan, **more)
    rig.connect("A")
    rig.told()
    return rig


def error_of(rig: Rig, prompt_id: str) -> dict[str, Any]:
    found: dict[str, Any] = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert "exception_type" in found, found
    return found


BATCH = node("EmptyImage", width=8, height=6, batch_size=3, color=5)


ALPHA = {
    "drawn": (["1", 0], True),
    "made of a mask": (["2", 0], True),
    "loaded, with transparency": (["3", 0], True),
    "scaled": (["4", 0], True),
    "joined with its like": (["5", 0], True),
    "given an alpha channel": (["6", 0], False),
    "joined with one that has it": (["7", 0], False),
    "out of somebody's node": (["8", 0], False),
}


@pytest.mark.parametrize("source, fails", ALPHA.values(), ids=ALPHA)
def test_a_picture_without_an_alpha_channel_has_none_to_give(source: Any, fails: bool) -> None:
    rig = rig_with()
    data = picture(width=9, height=7, seed=1, mode="RGBA")
    rig.folders.write("input", "", "rgba.png", data, 0)

    prompt_id = rig.queue({
        "1": BATCH,
        "2": node("MaskToImage", mask=["3", 1]),
        "3": node("LoadImage", image="rgba.png"),
        "4": node("ImageScale", image=["1", 0], width=4, height=4, upscale_method="area",
                  crop="disabled"),
        "5": node("ImageBatch", image1=["1", 0], image2=["4", 0]),
        "6": node("JoinImageWithAlpha", image=["1", 0], alpha=["3", 1]),
        "7": node("ImageBatch", image1=["1", 0], image2=["6", 0]),
        "8": node("Pass", image=["1", 0]),
        "10": node("ImageToMask", image=source, channel="alpha"),
        "11": node("ImageToMask", image=source, channel="blue"),
        "12": node("MaskPreview", mask=["11", 0]),
        "9": node("MaskPreview", mask=["10", 0]),
    })  # fmt: skip
    rig.finish()

    if not fails:
        assert rig.history(prompt_id)["status"]["status_str"] == "success"
        return
    error = error_of(rig, prompt_id)
    assert (error["node_id"], error["exception_type"]) == ("10", "IndexError")
    assert error["exception_message"] == "index 3 is out of bounds for dimension 3 with size 3\n"
