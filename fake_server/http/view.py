"""``/view`` and ``/view_metadata``: files, and what models say of themselves.

protocol.md, section 10; recording ``upload_and_view``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from comfyrec.http.media_types import OCTETS, guessed_type
from fake_server.http.context import Context, HandlerFailed, below, user_of
from fake_server.http.responses import empty, json_response
from fake_server.http.static import file_answer
from fake_server.source import Request, Response
from fake_server.storage import pictures as images
from fake_server.storage.memory import StoredFile

__all__ = ["KINDS", "annotated", "is_dangerous", "view", "view_metadata"]

KINDS: Final = ("output", "input", "temp")
# What a browser would run: served as a download instead.
_DANGEROUS: Final = frozenset({
    "text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css",
})  # fmt: skip
_DANGEROUS_SINCE_NOSNIFF: Final = frozenset({
    "application/javascript", "application/x-javascript", "application/ecmascript",
    "message/rfc822",
})  # fmt: skip
_PREVIEW_FORMATS: Final = ("webp", "jpeg")
_CONTENT_HASH: Final = re.compile(r"blake3:[0-9a-f]{64}")
_METADATA: Final = {"format": "pt"}


def annotated(name: str) -> tuple[str, str | None]:
    """``pic.png [input]`` -> the name and the folder it carries, if it carries one.

    What precedes the bracket loses one more character: the space.
    """
    for kind in KINDS:
        if name.endswith(f"[{kind}]"):
            return name[: -len(kind) - 3], kind
    return name, None


def view(context: Context, request: Request) -> Response:
    """One file, or the picture in it in another form."""
    asked = request.first("filename")
    if asked is None:
        return empty(404)
    name, kind = annotated(asked)
    if not name or name.startswith("/") or ".." in name:
        return empty(400)
    if kind is None:
        kind = request.first("type")
    kind = "output" if kind is None else kind
    if kind not in KINDS:
        return empty(400)
    subfolder = below(context, kind, request.first("subfolder") or "")
    if subfolder is None:
        return empty(403)
    if context.era.has("assets_on") and _CONTENT_HASH.fullmatch(name.lower()):
        return _of_hash(context, request, name.lower())
    name = posixpath.basename(name)
    file = context.folders.read(kind, subfolder, name) if name else None
    return empty(404) if file is None else _shown(context, request, name, file)


def _of_hash(context: Context, request: Request, wanted: str) -> Response:
    """The content of an asset, under the asset's name."""
    user_of(context, request)
    asset = context.assets.with_hash(wanted)
    file = None if asset is None else context.assets.content(asset)
    if asset is None or file is None:
        return empty(404)
    return _shown(context, request, asset.name, file)


def _shown(context: Context, request: Request, name: str, file: StoredFile) -> Response:
    channel, preview = request.first("channel"), request.first("preview")
    named = ("Content-Disposition", f'filename="{name}"')
    if preview is not None:
        format, quality = _preview_wanted(preview, channel or "")
        picture = _converted(
            lambda: images.preview(file.data, format=format, quality=quality, rgb=channel == "rgb")
        )
        return Response(200, (named, ("Content-Type", f"image/{format}")), picture)
    if channel in ("rgb", "a"):
        convert = images.rgb_only if channel == "rgb" else images.alpha_only
        picture = _converted(lambda: convert(file.data))
        return Response(200, (named, ("Content-Type", "image/png")), picture)
    era = context.era
    headers = _headers(name, models=era.has("model_types"), nosniff=era.has("view_nosniff"))
    if era.has("view_no_store") and ("Content-Type", OCTETS) in headers:
        headers = _kept_by_nobody(name, headers, request.header("Sec-Fetch-Dest"))
    return file_answer(request, file, context.epoch_us, headers)


def _kept_by_nobody(
    name: str, headers: tuple[tuple[str, str], ...], destination: str
) -> tuple[tuple[str, str], ...]:
    """Headers of a file that a browser might run: they depend on where it is to be shown."""
    kind = guessed_type(name, models=True)
    if not is_dangerous(kind):
        return headers
    if destination == "image" and kind.partition(";")[0] == "image/svg+xml":
        headers = tuple(
            (key, kind if key == "Content-Type" else value.removeprefix("attachment; "))
            for key, value in headers
        )
    return (*headers, ("Vary", "Sec-Fetch-Dest"), ("Cache-Control", "no-store"))


def _preview_wanted(preview: str, channel: str) -> tuple[str, int]:
    parts = preview.split(";")
    format = parts[0] if parts[0] in _PREVIEW_FORMATS and "a" not in channel else "webp"
    try:
        return format, int(parts[-1]) if parts[-1].isdigit() else 90
    except ValueError as error:  # a digit such as a superscript
        raise HandlerFailed(str(error)) from None


def _converted(convert: Callable[[], bytes]) -> bytes:
    # Whatever Pillow raises, the real handler raises it too; there is no common base.
    try:
        return convert()
    except Exception as error:
        raise HandlerFailed(str(error)) from None


@lru_cache(maxsize=256)
def _headers(name: str, *, models: bool, nosniff: bool) -> tuple[tuple[str, str], ...]:
    kind = guessed_type(name, models=models)
    if not nosniff:
        kind = OCTETS if kind in _DANGEROUS else kind
        return (("Content-Disposition", f'filename="{name}"'), ("Content-Type", kind))
    shown = 'filename="{}"'.format(re.sub(r'([\\"])', r"\\\1", name))
    if is_dangerous(kind):
        kind, shown = OCTETS, f"attachment; {shown}"
    return (
        ("Content-Disposition", shown), ("Content-Type", kind),
        ("X-Content-Type-Options", "nosniff"),
    )  # fmt: skip


def is_dangerous(kind: str) -> bool:
    """Whether a browser might run what has this type; everything written in XML is suspect."""
    bare = kind.partition(";")[0]
    listed = bare in _DANGEROUS or bare in _DANGEROUS_SINCE_NOSNIFF
    return listed or bare.endswith(("+xml", "/xml"))


def view_metadata(context: Context, request: Request, folder: str) -> Response:
    """The ``__metadata__`` of a safetensors file."""
    name = request.first("filename")
    known = context.catalogue.models.get(folder, ())
    if name is None or not name.endswith(".safetensors") or name not in known:
        return empty(404)
    return json_response(_METADATA)
