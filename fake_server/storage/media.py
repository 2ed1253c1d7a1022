"""What saved files hold that are no pictures: short clips and tones, empty latents and models.

The clips and tones beside this file were encoded once: four frames of 64 x 64 pixels, a tenth of a
second. Nobody decides by what they show, but every player opens them.
"""

from __future__ import annotations

import json
import pkgutil
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Final

__all__ = ["media"]

LATENT_MAX: Final = 1 << 22
"""Numbers in a latent that is written in its own size; a bigger one is written small."""
_SMALL: Final = (1, 8, 8)
_SAMPLES: Final = {
    "flac": "tone.flac",
    "mkv": "clip.mkv",
    "mp3": "tone.mp3",
    "mov": "clip.mp4",
    "mp4": "clip.mp4",
    "opus": "tone.opus",
    "webm": "clip.webm",
}
_WRITTEN: Final = {
    "json": b"{}",
    "md": b"text",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">'
    b'<circle cx="32" cy="32" r="24"/></svg>',
    "txt": b"text",
}


def media(
    extension: str, *, shape: tuple[int, int, int], texts: Mapping[str, str]
) -> Callable[[], bytes] | None:
    """Gives the bytes of a file when they are asked for; None if such a file is a picture.

    Args:
        extension: without its dot, in small letters.
        shape: items, height and width of a latent.
        texts: what a latent carries as metadata.
    """
    if extension in _SAMPLES:
        return partial(_sample, extension)
    if extension in _WRITTEN:
        return partial(_WRITTEN.__getitem__, extension)
    if extension == "latent":
        return partial(_latent, shape, dict(texts))
    return _model if extension == "glb" else None


@lru_cache
def _sample(extension: str) -> bytes:
    data = pkgutil.get_data("fake_server.storage", f"samples/{_SAMPLES[extension]}")
    assert data is not None, "the samples belong to the package"
    return data


def _latent(shape: tuple[int, int, int], texts: Mapping[str, str]) -> bytes:
    """Zeros in the form of safetensors: the length of a JSON header, the header, the numbers."""
    items, height, width = shape if 0 < shape[0] * shape[1] * shape[2] <= LATENT_MAX else _SMALL
    size = items * 4 * height * width * 4
    numbers = {"dtype": "F32", "shape": [items, 4, height, width], "data_offsets": [0, size]}
    version = {"dtype": "F32", "shape": [0], "data_offsets": [size, size]}
    header = {"latent_tensor": numbers, "latent_format_version_0": version}
    if texts:
        header = {"__metadata__": dict(texts), **header}
    data = json.dumps(header).encode()
    data += b" " * (-len(data) % 8)
    return struct.pack("<Q", len(data)) + data + bytes(size)


def _model() -> bytes:
    """A binary glTF of nothing: header, and one chunk of JSON (glTF 2.0, section 4.4)."""
    data = b'{"asset":{"version":"2.0"}}'
    data += b" " * (-len(data) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(data), len(data), 0x4E4F534A) + data
