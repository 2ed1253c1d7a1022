"""Binary frames of every kind come between the events."""

from __future__ import annotations

import base64
import json
import struct
from typing import Literal, get_args

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Observer,
    Parameters,
    Scenario,
    inject,
    some_node,
    threads,
)

# One grey pixel; real previews are only larger.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


Kind = Literal[1, 2, 3, 4, "other"]


class BinaryPreviewsParameters(Parameters, frozen=True, kw_only=True):
    """Which kinds: 1 and 2 (image), 3 (text), 4 (image with metadata), other (an extension's)."""

    kinds: tuple[Kind, ...] = get_args(Kind)


def direct(settings: BinaryPreviewsParameters) -> Directions:
    def frames(frame: FrameView, observer: Observer) -> list[bytes]:
        node = str(frame.data["node"])
        return [_frame(kind, node, frame.prompt_id or "") for kind in settings.kinds]

    return Directions(operators=(inject(frames, "binary frames", at=some_node),))


def _frame(kind: Kind, node: str, prompt_id: str) -> bytes:
    match kind:
        case 1 | 2:
            return struct.pack(">II", kind, 2) + PNG
        case 3:
            return struct.pack(">II", 3, len(node)) + node.encode() + b"42 %"
        case 4:
            about = {"node_id": node, "prompt_id": prompt_id, "image_type": "image/png"}
            text = json.dumps({**about, "display_node_id": node}).encode()
            return struct.pack(">II", 4, len(text)) + text + PNG
        case _:
            return struct.pack(">I", 77) + b"an extension's own bytes"


SCENARIO = Scenario(
    name="binary-previews",
    row="A46",
    category="binary",
    summary=__doc__,
    correct="tells binary from text, and skips the kinds it does not know",
    keeps=("K6",),
    evidence=threads(
        "CU#2435", "vinavfx/ComfyUI-for-Nuke#4", "andreyryabtsev/comfyui-python-api#2"
    ),
    settings=BinaryPreviewsParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
