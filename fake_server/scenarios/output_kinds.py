"""Outputs under many keys: images, gifs, video, audio, text, 3d, flags, and custom ones."""

from __future__ import annotations

from typing import Annotated, Any

from fake_server.scenarios.kit import (
    VIEW,
    Directions,
    Observer,
    Parameters,
    Scenario,
    one_of,
    patch_outputs,
    respond,
    threads,
)
from fake_server.source import Request, Response

KINDS: dict[str, dict[str, list[Any]]] = {
    "images": {},
    "gifs": {"gifs": ["clip_00001_.mp4"]},
    "video": {"video": ["clip_00002_.webm"]},
    "audio": {"audio": ["sound_00001_.flac"]},
    "text": {"text": ["a grey square"]},
    "3d": {"3d": ["mesh_00001_.glb"]},
    "animated": {"animated": [True]},
    "custom": {"a_node_of_mine": [{"score": 0.25}], "files": ["notes_00001_.json"]},
}


class OutputKindsParameters(Parameters, frozen=True, kw_only=True):
    """Which keys there are besides the images."""

    kinds: tuple[Annotated[str, one_of(KINDS)], ...] = tuple(KINDS)


def direct(settings: OutputKindsParameters) -> Directions:
    more = {key: items for kind in settings.kinds for key, items in KINDS[kind].items()}
    shown = {key: [_item(item) for item in items] for key, items in more.items()}
    names = {item for items in more.values() for item in items if _is_file(item)}

    def listed(request: Request) -> bool:
        return VIEW(request) and request.first("filename") in names

    return Directions(
        operators=(
            *patch_outputs("more kinds", lambda node, out: {**out, **shown}),
            respond(listed, "their files", _content),
        )
    )


def _content(request: Request, observer: Observer) -> Response:
    name = request.first("filename") or ""
    return Response(200, (("Content-Type", "application/octet-stream"),), f"all of {name}".encode())


def _is_file(item: Any) -> bool:
    return isinstance(item, str) and "." in item


def _item(item: Any) -> Any:
    if _is_file(item):
        return {"filename": item, "subfolder": "", "type": "output"}
    return item


SCENARIO = Scenario(
    name="output-kinds",
    row="A79",
    category="outputs",
    summary=__doc__,
    correct="walks every key, and keeps the items that have a filename",
    keeps=("K5", "K6"),
    evidence=threads(
        "SillyTavern/SillyTavern#5890",
        "n8n-nodes-comfyui#14",
        "T8mars/T8-penguin-canvas#17",
        "pythongosssss/ComfyUI-Custom-Scripts#481",
    ),
    settings=OutputKindsParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
