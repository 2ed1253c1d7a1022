"""Pictures without what they tell: opened by a reader that is not ours."""

from __future__ import annotations

import io
import json
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from comfyrec.cassette.redact.pseudonyms.media import is_media, media
from comfyrec.cassette.redact.pseudonyms.substitutes import Substitutes
from comfyrec.cassette.redact.pseudonyms.telling import KINDS

GRAPH = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a velvet otter", "n": 3}}}


def picture(kind: str, size: tuple[int, int] = (70, 50), mode: str = "RGB", **more: Any) -> bytes:
    out = io.BytesIO()
    noise = Image.effect_noise(size, 80).convert(mode)
    noise.save(out, kind, **more)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


SOLID = [
    ("PNG", "RGB", (70, 50)), ("PNG", "RGBA", (33, 7)), ("PNG", "L", (64, 64)),
    ("PNG", "P", (50, 50)), ("PNG", "1", (50, 50)), ("PNG", "RGB", (8, 8)),
    ("JPEG", "RGB", (70, 50)), ("JPEG", "L", (512, 300)), ("WEBP", "RGB", (70, 50)),
    ("WEBP", "RGBA", (128, 40)), ("GIF", "L", (70, 50)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "mode", "size"), SOLID)
def test_pixels_become_one_colour_in_the_same_size(
    kind: str, mode: str, size: tuple[int, int]
) -> None:
    data = picture(kind, size, mode)

    new = media(data, Substitutes(KINDS))

    assert len(new) == len(data)
    image = opened(new)
    assert image.size == size
    assert image.format == kind
    colours = image.convert("RGB").getcolors()
    assert colours is not None
    assert len(colours) <= 3


def test_filling_is_next_to_nothing_when_it_is_packed() -> None:
    data = picture("PNG", (512, 512))

    assert len(zlib.compress(media(data, Substitutes(KINDS)))) * 50 < len(data)


def test_an_interlaced_picture_opens() -> None:
    data = picture("PNG", (37, 21))
    header = bytearray(data[16:29])
    header[12] = 1
    data = data[:16] + header + zlib.crc32(b"IHDR" + header).to_bytes(4, "big") + data[33:]

    assert opened(media(data, Substitutes(KINDS))).size == (37, 21)


def test_the_workflow_in_a_picture_stays_a_workflow() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(GRAPH))
    info.add_text("workflow", json.dumps({"nodes": [{"title": "My otter"}]}), zip=True)
    info.add_itxt("parameters", "a velvet otter na\u00efve", zip=True)
    data = picture("PNG", pnginfo=info)

    texts = opened(media(data, Substitutes(KINDS))).info

    read = json.loads(texts["prompt"])
    assert read["6"]["class_type"] == "CLIPTextEncode"
    assert read["6"]["inputs"] == {"text": "a xxxxxx xxxxx", "n": 3}
    assert json.loads(texts["workflow"]) == {"nodes": [{"title": "Ax xxxxx"}]}
    assert "otter" not in texts["parameters"]


def test_pixels_stay_where_only_names_are_replaced() -> None:
    data = picture("PNG")

    assert opened(media(data, Substitutes({"text"}))).tobytes() == opened(data).tobytes()


def test_exif_of_a_camera_is_still_read() -> None:
    exif = Image.Exif()
    exif[0x010E] = "prompt:" + json.dumps(GRAPH)
    exif[0x0110] = "Ottercam 77"
    data = picture("JPEG", exif=exif.tobytes())

    read = opened(media(data, Substitutes(KINDS))).getexif()

    assert "otter" not in read[0x010E] + read[0x0110].lower()
    assert len(read[0x0110]) == len("Ottercam 77")
    assert json.loads(read[0x010E].removeprefix("prompt:"))["6"]["inputs"]["n"] == 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_that_is_cut_off_keeps_its_size(kind: str) -> None:
    data = picture(kind)

    for size in range(0, len(data), max(1, len(data) // 40)):
        assert len(media(data[:size], Substitutes(KINDS))) == size


def test_other_bytes_are_not_pictures() -> None:
    assert not is_media(b"{}")
    assert media(b"{}", Substitutes(KINDS)) == b"{}"
