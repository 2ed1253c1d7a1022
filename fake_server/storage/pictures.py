"""Small real pictures: PNG by hand and quickly, everything else by Pillow.

What a picture shows follows from its seed, so that two pictures can be told apart and one can be
recognised; it has no other meaning.
"""

from __future__ import annotations

import io
import posixpath
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from comfyrec.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["alpha_only", "is_image", "measure", "picture", "preview", "rgb_only", "with_mask"]

SIDE_MAX: Final = 16_384
"""ComfyUI's own bound of width and height (MAX_RESOLUTION in its nodes)."""
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# mode -> PNG colour type, samples per pixel
_MODES: Final = {"L": (0, 1), "RGB": (2, 3), "RGBA": (6, 4)}
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
_VARIETY: Final = 16
"""How many different pictures of one size there are in the formats that are slow to make."""
_MODULUS: Final = 65_521
_UP: Final = b"\x02"


def picture(
    *,
    width: int,
    height: int,
    seed: int,
    text: Mapping[str, str] | None = None,
    hidden: Mapping[str, str] | None = None,
    mode: str = "RGB",
    format: str = "PNG",
) -> bytes:
    """A picture as the bytes of an image file.

    Args:
        width: in pixels, like ``height`` from 1 to 16384.
        height: in pixels.
        seed: other seeds give other colours.
        text: name -> text of PNG text chunks, in this order; other formats carry none.
        hidden: the same in chunks of ComfyUI's own type ``comf``, behind the picture.
        mode: ``RGB``, ``RGBA`` or ``L``.
        format: ``PNG``, ``JPEG``, ``WEBP`` or ``GIF``.

    Raises:
        ValueError: no such mode, format or size.
    """
    if mode not in _MODES or format not in _FORMATS:
        raise ValueError(f"no picture in mode {mode!r} and format {format!r}")
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        raise ValueError(f"a picture has 1 to {SIDE_MAX} pixels each way, not {width} x {height}")
    if format != "PNG":
        return _by_pillow(width, height, seed % _VARIETY, mode, format)
    return _png(width, height, seed, text or {}, hidden or {}, mode)


# --- PNG by hand -----------------------------------------------------------------------------


def _png(
    width: int,
    height: int,
    seed: int,
    text: Mapping[str, str],
    hidden: Mapping[str, str],
    mode: str,
) -> bytes:
    colour, samples = _MODES[mode]
    chunks = [
        _SIGNATURE,
        _chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, 8, colour, 0, 0, 0)),
    ]
    chunks += (_text_chunk(name, value) for name, value in text.items())
    chunks.append(_chunk(b"IDAT", _pixels(width, height, seed, samples)))
    chunks += (
        _chunk(b"comf", f"{name}\0{value}".encode("latin-1", "replace"))
        for name, value in hidden.items()
    )
    chunks.append(_chunk(b"IEND", b""))
    return b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(name))
    return b"".join((struct.pack("!I", len(data)), name, data, struct.pack("!I", checksum)))


def _text_chunk(name: str, value: str) -> bytes:
    try:
        return _chunk(b"tEXt", name.encode("latin-1") + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", name.encode("latin-1", "replace") + b"\0" * 5 + value.encode())


def _pixels(width: int, height: int, seed: int, samples: int) -> bytes:
    """One zlib stream: a first row of the seed's own, and rows that all sizes have in common.

    The rows behind the first are written as differences to the row above (filter "Up"), so they do
    not depend on it, and their compressed form is made once per size.
    """
    first = b"\0" + _first_row(width, seed, samples)
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = deflater.compress(first) + deflater.flush(zlib.Z_SYNC_FLUSH)
    rest, rest_sum, rest_size = _other_rows(width, height, samples)
    total = _joined_sum(zlib.adler32(first), rest_sum, rest_size)
    return b"".join((b"\x78\x01", head, rest, struct.pack("!I", total)))


def _first_row(width: int, seed: int, samples: int) -> bytes:
    """From one dark colour to another, in up to 32 bands; alpha is full."""
    mixed = (seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) & 0xFFFFFFFFFFFFFFFF
    left = [(mixed >> shift) & 127 for shift in (0, 8, 16)]
    right = [(mixed >> shift) & 127 for shift in (24, 32, 40)]
    bands = min(width, 32)
    row = bytearray()
    for band in range(bands):
        colour = [a + (b - a) * band // bands for a, b in zip(left, right, strict=True)]
        pixel = bytes(colour[:1] if samples == 1 else [*colour, 255][:samples])
        row += pixel * (width * (band + 1) // bands - width * band // bands)
    return bytes(row)


@lru_cache(maxsize=16)
def _other_rows(width: int, height: int, samples: int) -> tuple[bytes, int, int]:
    """Deflated, Adler sum and size of all rows but the first: slowly brighter downwards."""
    step = max(1, height // 128)
    pixel = b"\1\1\1\0"[:samples]
    same, brighter = _UP + bytes(width * samples), _UP + pixel * width
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
    deflated, total = [], 1
    for y in range(1, height):
        row = same if y % step or y // step > 128 else brighter
        deflated.append(deflater.compress(row))
        total = zlib.adler32(row, total)
    deflated.append(deflater.flush())
    return b"".join(deflated), total, (height - 1) * (1 + width * samples)


def _joined_sum(first: int, second: int, second_size: int) -> int:
    """Adler sum of two stretches of bytes from the sums of each (RFC 1950 section 8.2)."""
    low = ((first & 0xFFFF) + (second & 0xFFFF) - 1) % _MODULUS
    high = (first >> 16) + (second >> 16) + second_size * ((first & 0xFFFF) - 1)
    return (high % _MODULUS) << 16 | low


# --- by Pillow -------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _by_pillow(width: int, height: int, seed: int, mode: str, format: str) -> bytes:
    image = _open(_png(width, height, seed, {}, {}, mode))
    if format == "JPEG" and mode == "RGBA":
        image = image.convert("RGB")
    return _saved(image, format=format, quality=95)


def _open(data: bytes) -> Image:
    """An image file as a Pillow image, pixels read.

    Raises:
        UsageError: Pillow, or a part of it, is not installed.
        Exception: whatever Pillow raises for what is not an image; there is no common base.
    """
    try:
        from PIL import Image
    except ImportError:
        raise UsageError("this needs Pillow; 'pip install pillow' brings it") from None
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _saved(image: Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)  # type: ignore[arg-type]  # Pillow types each option apart
    return buffer.getvalue()


def measure(data: bytes) -> tuple[int, int, str] | None:
    """Width, height and Pillow mode of an image file; None for what is not an image."""
    # Pillow raises OSError, SyntaxError, ValueError, struct.error, DecompressionBombError, ...
    try:
        image = _open(data)
    except UsageError:
        raise
    except Exception:
        return None
    return image.width, image.height, image.mode


def is_image(data: bytes) -> bool:
    """Whether these are the bytes of a whole image file."""
    return measure(data) is not None


def preview(data: bytes, *, format: str, quality: int, rgb: bool) -> bytes:
    """``/view?preview=``: the picture as ``webp`` or ``jpeg``.

    Raises:
        Exception: no image, or a quality that the format does not take.
    """
    image = _open(data)
    if rgb or format == "jpeg":
        image = image.convert("RGB")
    return _saved(image, format=format, quality=quality)


def rgb_only(data: bytes) -> bytes:
    """``/view?channel=rgb``: a PNG of the colours, alpha dropped."""
    return _saved(_open(data).convert("RGB"), format="PNG")


def alpha_only(data: bytes) -> bytes:
    """``/view?channel=a``: a black PNG with the picture's alpha; opaque when it has none."""
    from PIL import Image

    image = _open(data)
    alpha = image.getchannel("A") if image.mode == "RGBA" else Image.new("L", image.size, 255)
    shown = Image.new("RGBA", image.size)
    shown.putalpha(alpha)
    return _saved(shown, format="PNG")


def with_mask(original: bytes, mask: bytes, name: str) -> bytes:
    """``/upload/mask``: the original with the alpha of the mask; a PNG's text chunks stay.

    ``name`` is that of the file to write; its extension says in which format.

    Raises:
        ValueError: the mask has another size.
        KeyError: no format has that extension.
        Exception: one of the two is not an image, or the format has no alpha.
    """
    from PIL.Image import registered_extensions
    from PIL.PngImagePlugin import PngInfo

    format = registered_extensions()[posixpath.splitext(name)[1].lower()]

    picture = _open(original)
    chunks = PngInfo()
    for name, value in getattr(picture, "text", {}).items():
        chunks.add_text(name, value)
    masked = picture.convert("RGBA")
    masked.putalpha(_open(mask).convert("RGBA").getchannel("A"))
    return _saved(masked, format=format, compress_level=4, pnginfo=chunks)
