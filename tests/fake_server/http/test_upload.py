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
from tests.support.source_client import ask, json_of, png


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
