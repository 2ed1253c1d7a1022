"""Pictures that are made, measured and converted."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from fake_server.storage import pictures as images
from fake_server.storage.pictures import (
    alpha_only,
    is_image,
    measure,
    picture,
    preview,
    rgb_only,
    with_mask,
)


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (3, 700), (1025, 2)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_png_is_read_by_pillow_with_its_texts(size: tuple[int, int], mode: str) -> None:
    text = {"prompt": '{"1": {}}', "größe": "☃"}

    data = picture(width=size[0], height=size[1], seed=7, text=text, mode=mode)

    found = Image.open(io.BytesIO(data))
    found.load()
    assert (found.size, found.mode, found.format) == (size, mode, "PNG")
    assert found.text == text


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_other_formats_are_what_they_say(format: str) -> None:
    data = picture(width=40, height=30, seed=1, format=format, mode="RGBA")

    assert Image.open(io.BytesIO(data)).format == format
    assert measure(data) is not None


def test_other_seeds_give_other_pictures_and_the_same_seed_the_same() -> None:
    drawn = [picture(width=16, height=16, seed=seed) for seed in (1, 2, 1)]

    assert drawn[0] != drawn[1]
    assert drawn[0] == drawn[2]


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height": 20_000}, {"mode": "CMYK"}, {"format": "TIFF"}],
)
def test_a_picture_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no picture|1 to 16384"):
        picture(**{"width": 8, "height": 8, "seed": 0, **wrong})


def test_conversions_keep_the_size_and_change_the_mode() -> None:
    half = Image.new("RGBA", (20, 10), (1, 2, 3, 128))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    clear = buffer.getvalue()
    plain = picture(width=20, height=10, seed=3)

    assert measure(rgb_only(clear)) == (20, 10, "RGB")
    assert measure(alpha_only(clear)) == measure(alpha_only(plain)) == (20, 10, "RGBA")
    assert measure(preview(clear, format="jpeg", quality=50, rgb=False)) == (20, 10, "RGB")
    assert measure(preview(clear, format="webp", quality=90, rgb=False)) == (20, 10, "RGBA")
    assert measure(preview(clear, format="webp", quality=90, rgb=True)) == (20, 10, "RGB")


def test_a_mask_gives_its_alpha_and_the_original_its_texts() -> None:
    original = picture(width=6, height=4, seed=1, text={"prompt": "kept"})
    mask = Image.new("RGBA", (6, 4), (0, 0, 0, 77))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")

    masked = Image.open(io.BytesIO(with_mask(original, buffer.getvalue(), "a.png")))

    assert masked.getchannel("A").getextrema() == (77, 77)
    assert masked.text == {"prompt": "kept"}
    with pytest.raises(ValueError, match=r".+"):
        with_mask(original, picture(width=5, height=4, seed=1), "a.png")


NO_IMAGES: list[Callable[[], bytes]] = [
    lambda: b"", lambda: b"not an image", lambda: images.picture(width=64, height=64, seed=1)[:-40],
]  # fmt: skip


@pytest.mark.parametrize("data", NO_IMAGES, ids=["empty", "text", "cut off"])
def test_what_is_no_whole_image_is_told_apart(data: Callable[[], bytes]) -> None:
    assert not is_image(data())
