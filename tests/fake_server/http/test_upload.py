"""Uploads of masks."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Response,
)
from fake_server.storage.pictures import picture
from tests.support.source_client import (
    ask,
    json_of,
    part,
    png,
    upload,
)


def form(*fields: tuple[str, bytes, str | None]) -> dict[str, Any]:
    parts = []
    for name, value, filename in fields:
        named = f'; filename="{filename}"' if filename is not None else ""
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        parts.append(head.encode() + value + b"\r\n")
    return {
        "body": b"".join(parts) + b"--b--\r\n",
        "Content_Type": "multipart/form-data; boundary=b",
    }


def upload_mask(server: SimulatedServer, ref: Any, mask: bytes | None = None) -> Response:
    data = ref if isinstance(ref, bytes) else json.dumps(ref).encode()
    fields = (("image", mask or png(alpha=40), "m.png"), ("original_ref", data, None))
    return ask(server, "POST", "/upload/mask", **form(*fields))


def test_a_mask_lays_its_alpha_over_the_original() -> None:
    server = SimulatedServer()
    original = picture(width=4, height=4, seed=1, text={"prompt": "kept"})
    ask(server, "POST", "/upload/image", **form(("image", original, "o.png")))

    got = upload_mask(server, {"filename": "o.png", "type": "input"})
    seen = ask(server, "GET", "/view?filename=m.png&type=input")

    masked = Image.open(io.BytesIO(seen.body))
    assert json_of(got) == {"name": "m.png", "subfolder": "", "type": "input"}
    assert masked.getchannel("A").getextrema() == (40, 40)
    assert masked.text == {"prompt": "kept"}


@pytest.mark.parametrize(
    ("ref", "status"),
    [
        ({"filename": "absent.png"}, 200),
        ({"filename": "o.png [input]"}, 200),
        ({"filename": "../o.png", "type": "input"}, 200),
        ({"filename": "/o.png"}, 200),
        ({"filename": ""}, 200),
        ({"filename": "o.png", "type": "nowhere"}, 200),
        ({"filename": "o.png", "type": "input", "subfolder": "../.."}, 200),
        ({"type": "input"}, 500),
        ({"filename": 3}, 500),
        ([], 500),
        (b"{", 500),
    ],
)
def test_a_mask_without_its_original_is_not_written(ref: Any, status: int) -> None:
    server = SimulatedServer()
    ask(server, "POST", "/upload/image", **form(("image", png(), "o.png")))

    got = upload_mask(server, ref)
    written = ask(server, "GET", "/view?filename=m.png&type=input").status == 200

    assert got.status == status
    assert written is (ref == {"filename": "o.png [input]"})


def test_a_mask_of_another_size_or_without_a_reference_breaks_the_handler() -> None:
    server = SimulatedServer()
    ask(server, "POST", "/upload/image", **form(("image", png(), "o.png")))

    other_size = upload_mask(server, {"filename": "o.png", "type": "input"}, png((9, 9)))
    no_ref = ask(server, "POST", "/upload/mask", **form(("image", png(), "m.png")))

    assert (other_size.status, no_ref.status) == (500, 500)


LONG = "l" * 256


BASE = "../input"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([part("image", b"x", "a/b.png")], 500),
        ([part("image", b"x", "a/b.png"), part("subfolder", "a")], 500),
        ([part("image", b"x", "there/b.png")], 200),
        ([part("image", b"x", "there")], 500),
        ([part("image", b"x", "there"), part("overwrite", "1")], 500),
        ([part("image", b"x", ".")], 500),
        ([part("image", b"x", "..")], 400),
        ([part("image", b"x", f"{LONG}.png")], 500),
        ([part("image", b"x", "a.png"), part("subfolder", LONG)], 500),
        ([part("image", b"x", "a.png"), part("subfolder", "there/b.txt")], 500),
        ([part("image", b"x", "a.png"), part("subfolder", BASE)], 200),
        ([part("image", b"x", "a.png"), part("subfolder", f"../{BASE}")], 400),
        ([part("image", b"x", "a.png"), part("subfolder", "/ComfyUI/input/there")], 200),
        ([part("image", b"x", "a.png"), part("subfolder", "/there")], 400),
        ([part("image", b"x", "a.png"), part("overwrite", "1", "f.txt")], 200),
        ([part("image", b"x", "a.png"), part("subfolder", "s", "f.txt")], 500),
        ([part("image", b"x", "a.png"), part("type", "temp", kind="text/plain")], 200),
        ([part("image", b"x", "a.png"), part("type", "temp", kind="application/json")], 500),
        ([part("image", b"x", "a.png"), part("x", "y", kind="multipart/mixed")], 500),
        ([part("image", b"x", "a.png"), part("x", b"\xff")], 500),
        ([part("image", b"x", kind="image/png")], 500),
        ([part("image", b"", kind="image/png")], 400),
    ],
)
def test_an_upload_ends_as_the_file_system_lets_it(fields: list[bytes], status: int) -> None:
    server = SimulatedServer()
    upload(server, part("image", b"1", "b.txt"), part("subfolder", "there"))

    assert upload(server, *fields).status == status


def test_a_text_of_a_form_has_the_charset_that_its_part_names() -> None:
    latin = part("subfolder", "ü".encode("latin-1"), kind="text/plain; charset=latin-1")

    told = json.loads(upload(SimulatedServer(), part("image", b"x", "a.png"), latin).body)

    assert told["subfolder"] == "ü"


@pytest.mark.parametrize(
    ("name", "status", "format"),
    [("m.png", 200, "PNG"), ("m.webp", 200, "WEBP"), ("m.jpg", 500, None), ("m", 500, None)],
)
def test_a_mask_is_kept_in_the_format_of_its_name(
    name: str, status: int, format: str | None
) -> None:
    server = SimulatedServer()
    original = picture(width=6, height=4, seed=1, text={"prompt": "{}"})
    upload(server, part("image", original, "o.png"))
    mask = picture(width=6, height=4, seed=2, mode="RGBA")
    ref = json.dumps({"filename": "o.png", "type": "input"})

    done = upload(server, part("image", mask, name), part("original_ref", ref), route="mask")
    kept = ask(server, "GET", f"/view?filename={name}&type=input")

    assert done.status == status
    assert kept.status == (200 if format else 404)
    assert format is None or Image.open(io.BytesIO(kept.body)).format == format


@pytest.mark.parametrize(
    ("ref", "written"),
    [
        ({"filename": "o.png", "type": "input"}, True),
        ({"filename": "o.png [input]", "type": "output"}, True),
        ({"filename": "o.png", "type": "input", "subfolder": BASE}, True),
        ({"filename": "o.png", "type": "input", "subfolder": f"../{BASE}"}, False),
        ({"filename": "o.png"}, False),
        ({"filename": "o.png", "type": None}, False),
        ({"filename": "none.png", "type": "input"}, False),
        ({"filename": "", "type": "input"}, False),
    ],
)
def test_a_mask_without_its_original_is_told_and_not_kept(
    ref: dict[str, Any], written: bool
) -> None:
    server = SimulatedServer()
    upload(server, part("image", picture(width=6, height=4, seed=1), "o.png"))
    mask = part("image", picture(width=6, height=4, seed=2, mode="RGBA"), "m.png")

    done = upload(server, mask, part("original_ref", json.dumps(ref)), route="mask")

    assert (done.status, json.loads(done.body)["name"]) == (200, "m.png")
    assert (ask(server, "GET", "/view?filename=m.png&type=input").status == 200) is written
