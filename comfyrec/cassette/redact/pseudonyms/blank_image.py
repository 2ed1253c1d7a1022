"""A picture of one colour, as small as its format allows."""

from __future__ import annotations

import io
from typing import Any, Final

__all__ = ["solid_picture"]

_SIDE_MAX: Final = 16384
_PIXELS_MAX: Final = 64 << 20
_WAYS: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "JPEG": (
        {"quality": 1, "optimize": True, "progressive": True},
        {"quality": 1, "optimize": True},
    ),
    "WEBP": ({"lossless": True, "quality": 0, "method": 0}, {"quality": 1}),
    "GIF": ({},),
}


def solid_picture(kind: str, width: int, height: int, room: int) -> bytes | None:
    """The bytes of such a picture; None if it does not fit.

    Args:
        kind: ``JPEG``, ``WEBP`` or ``GIF``.
        width: in pixels.
        height: in pixels.
        room: how many bytes it may have.
    """
    if not (0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX) or width * height > _PIXELS_MAX:
        return None
    from PIL import Image

    picture = Image.new("RGB" if kind == "WEBP" else "L", (width, height), 0)
    for options in _WAYS[kind]:
        out = io.BytesIO()
        picture.save(out, kind, **options)
        if out.tell() <= room:
            return out.getvalue()
    return None
