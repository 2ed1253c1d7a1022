"""``/models``, ``/embeddings``, ``/object_info`` and their kin: what the catalogue holds.

protocol.md, section 10; recordings ``routes`` of all versions.
"""

from __future__ import annotations

import json
import posixpath
import zlib
from collections.abc import Sequence
from typing import Any, Final

from fake_server.http.context import Context, HandlerFailed, below, extension
from fake_server.http.responses import empty, json_response
from fake_server.nodes.replacements import REPLACEMENTS
from fake_server.source import Request, Response
from fake_server.storage import pictures as images

__all__ = [
    "dirs_of",
    "embeddings",
    "experiment_folder",
    "experiment_folders",
    "experiment_preview",
    "folder",
    "folders",
    "known_folders",
    "node_replacements",
    "object_info",
    "object_info_class",
]

# folder -> what is listed for it instead of a model's extensions.
_OTHER_EXTENSIONS: Final = {"diffusers": ["folder"], "classifiers": [""]}
_EXTENSIONS: Final = [".bin", ".ckpt", ".pkl", ".pt", ".pt2", ".pth", ".safetensors", ".sft"]
_NOT_LISTED: Final = ("configs", "custom_nodes")
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".preview.png", ".preview.jpg")
# folder -> the folder names it is spread over, where that is not its own alone.
_OTHER_DIRS: Final = {
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "controlnet": ("controlnet", "t2i_adapter"),
}
_OUTPUT_TOO: Final = {
    "checkpoints": "checkpoints", "loras": "loras", "vae": "vae",
    "text_encoders": "clip", "diffusion_models": "diffusion_models",
}  # fmt: skip
# folder -> the fact of the era that brought it; all others have always been there.
_SINCE: Final = {
    "model_patches": "model_patches_folder", "audio_encoders": "audio_encoders_folder",
    "latent_upscale_models": "latent_upscale_folder", "optical_flow": "optical_flow_folders",
    "background_removal": "optical_flow_folders", "geometry_estimation": "geometry_folder",
    "frame_interpolation": "frame_interpolation_folder", "detection": "detection_folder",
    "datasets": "datasets_folder",
}  # fmt: skip


def known_folders(context: Context) -> dict[str, Sequence[str]]:
    """The model folders that the era has, and what lies in them."""
    return {
        name: files
        for name, files in context.catalogue.models.items()
        if name not in _SINCE or files or context.era.has(_SINCE[name])
    }


def dirs_of(context: Context, name: str) -> list[str]:
    """The folders on the simulated disk that make up a model folder."""
    base = context.engine.options.base_directory
    if name == "custom_nodes":
        return [f"{base}/custom_nodes"]
    dirs = [f"{base}/models/{each}" for each in _OTHER_DIRS.get(name, (name,))]
    return dirs + ([f"{base}/output/{_OUTPUT_TOO[name]}"] if name in _OUTPUT_TOO else [])


def folders(context: Context, request: Request) -> Response:
    """GET /models."""
    return json_response(list(known_folders(context)))


def folder(context: Context, request: Request, folder: str) -> Response:
    """GET /models/{folder}."""
    files = known_folders(context).get(folder)
    return empty(404) if files is None else json_response(list(files))


def embeddings(context: Context, request: Request) -> Response:
    """GET /embeddings: their names without extension."""
    files = context.catalogue.models.get("embeddings", ())
    return json_response([name.removesuffix(extension(name)) for name in files])


def experiment_folders(context: Context, request: Request) -> Response:
    """GET /experiment/models."""
    listed: list[dict[str, Any]] = []
    for name in known_folders(context):
        if name not in _NOT_LISTED:
            entry: dict[str, Any] = {"name": name, "folders": dirs_of(context, name)}
            if context.era.has("model_extensions"):
                entry["extensions"] = _OTHER_EXTENSIONS.get(name, _EXTENSIONS)
            listed.append(entry)
    return json_response(listed)


def experiment_folder(context: Context, request: Request, folder: str) -> Response:
    """GET /experiment/models/{folder}."""
    files = known_folders(context).get(folder)
    if files is None:
        return empty(404)
    return json_response([_file(context, name) for name in files])


def _file(context: Context, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": name, "pathIndex": 0}
    if context.era.has("model_file_dates"):
        since = context.epoch_us / 1e6
        # There is no such file; its size is made up, one that a model may have.
        size = 500_000_000 + zlib.crc32(name.encode()) % 6_000_000_000
        facts |= {"modified": since, "created": since, "size": size}
    return facts


def experiment_preview(
    context: Context, request: Request, folder: str, index: str, file: str
) -> Response:
    """GET /experiment/models/preview/...: a picture that lies beside a model."""
    if folder not in known_folders(context):
        return empty(404)
    number = _number(context, index) if file or not context.era.has("preview_checks") else None
    if number is None:
        return empty(400)
    if not 0 <= number < len(dirs_of(context, folder)):
        return empty(404)
    path = below(context, f"models/{folder}", file)
    if path is None:
        return empty(403)
    picture = _beside(context, f"models/{folder}", path)
    return (
        empty(404) if picture is None else Response(200, (("Content-Type", "image/webp"),), picture)
    )


def _number(context: Context, written: str) -> int | None:
    try:
        return int(written)
    except ValueError as error:
        if context.era.has("preview_checks"):
            return None
        raise HandlerFailed(str(error)) from None


def _beside(context: Context, kind: str, path: str) -> bytes | None:
    where, name = posixpath.split(path)
    stem = name.removesuffix(extension(name))
    for end in _PICTURES:
        found = context.folders.read(kind, where, stem + end)
        if found is not None and images.is_image(found.data):
            return images.preview(found.data, format="webp", quality=80, rgb=False)
    return None


# --- object_info -----------------------------------------------------------------------------


def object_info(context: Context, request: Request) -> Response:
    """GET /object_info: every class."""
    uploads = tuple(context.folders.names("input"))
    body = _whole.get(context.catalogue, uploads)
    if body is None:
        body = json.dumps(context.catalogue.all_info(uploads)).encode()
        _whole.keep(context.catalogue, uploads, body)
    return Response(200, (("Content-Type", "application/json; charset=utf-8"),), body)


class _Last:
    """The last answer: it is over a megabyte long and asked for again and again."""

    def __init__(self) -> None:
        self._catalogue: object = None
        self._uploads: tuple[str, ...] = ()
        self._body = b""

    def get(self, catalogue: object, uploads: tuple[str, ...]) -> bytes | None:
        fits = self._catalogue is catalogue and self._uploads == uploads
        return self._body if fits else None

    def keep(self, catalogue: object, uploads: tuple[str, ...], body: bytes) -> None:
        self._catalogue, self._uploads, self._body = catalogue, uploads, body


_whole = _Last()


def object_info_class(context: Context, request: Request, class_type: str) -> Response:
    """GET /object_info/{class_type}: one class; an empty object for an unknown one."""
    info = context.catalogue.info(class_type, context.folders.names("input"))
    return json_response({} if info is None else {class_type: info})


def node_replacements(context: Context, request: Request) -> Response:
    """GET /node_replacements: retired classes and what took their context."""
    return json_response(REPLACEMENTS)
