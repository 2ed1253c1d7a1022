"""``/upload/image`` and ``/upload/mask``: a form -> a file, or another name for it.

protocol.md, section 10; recording ``upload_and_view``.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from comfyrec.http.forms import BadForm, FormField, parameters
from fake_server.http.assets.answers import reference
from fake_server.http.context import Context, HandlerFailed, below, extension
from fake_server.http.responses import empty, json_response
from fake_server.http.view import KINDS, annotated
from fake_server.source import Request, Response
from fake_server.storage import pictures as images
from fake_server.storage.memory import StoredFile

__all__ = ["upload_image", "upload_mask"]


Value: TypeAlias = str | bytes | FormField
"""A text, other data, or a file with its name."""
Form: TypeAlias = Mapping[str, Value]


def upload_image(context: Context, request: Request) -> Response:
    """Keep the file that was sent."""
    return _keep(context, _form(request), lambda image, name: image)


def upload_mask(context: Context, request: Request) -> Response:
    """Keep the original that ``original_ref`` names, with the alpha of the file that was sent."""
    form = _form(request)
    return _keep(context, form, lambda image, name: _masked(context, form, image, name))


def _form(request: Request) -> dict[str, Value]:
    """The first field of each name."""
    form: dict[str, Value] = {}
    try:
        for field in request.form():
            form.setdefault(field.name, _value(field))
    except (BadForm, LookupError, UnicodeDecodeError) as error:
        raise HandlerFailed(str(error)) from None
    return form


def _value(field: FormField) -> Value:
    if field.filename:
        return field
    kind, found = parameters(field.content_type or "text/plain")
    return field.value.decode(found.get("charset", "utf-8")) if kind[:5] == "text/" else field.value


def _keep(context: Context, form: Form, make: Callable[[bytes, str], bytes | None]) -> Response:
    image, kind, subfolder = form.get("image"), form.get("type", "input"), form.get("subfolder", "")
    if kind not in KINDS:
        raise HandlerFailed(f"no such folder: {kind!r}")
    if not image:
        return empty(400)
    if not isinstance(image, FormField) or not isinstance(subfolder, str):
        raise HandlerFailed("a file where a text should be, or the other way round")
    assert image.filename and isinstance(kind, str)
    where = below(context, kind, posixpath.normpath(subfolder))
    path = below(context, kind, posixpath.normpath(subfolder), image.filename)
    if path is None:
        return empty(400)
    if where is None or not context.folders.takes_folder(kind, where):
        raise HandlerFailed(f"the folder {subfolder} cannot be made")
    context.folders.make_folder(kind, where)
    name, is_there = image.filename, False
    if form.get("overwrite") not in ("true", "1"):
        name, is_there = _free(context, kind, where, image)
    made = None if is_there else make(image.value, name)
    path = posixpath.join(where, name)
    if made is not None:
        _write(context, kind, path, made)
    kept: dict[str, Any] = {"name": name, "subfolder": subfolder, "type": kind}
    if context.era.has("assets_on") and (made is not None or is_there):
        kept["asset"] = reference(context, context.assets.uploaded(kind, path, context.now))
    return json_response(kept)


def _write(context: Context, kind: str, path: str, data: bytes) -> None:
    if not context.folders.takes_file(kind, path):
        raise HandlerFailed(f"{path} cannot be written")
    context.folders.write(kind, "", path, data, context.now)


def _free(context: Context, kind: str, where: str, image: FormField) -> tuple[str, bool]:
    """A name that is free or whose file holds the same bytes, and which of the two."""
    assert image.filename is not None
    name, end = image.filename, extension(image.filename)
    stem, number = name[: len(name) - len(end)], 1
    while (there := context.folders.read(kind, where, name)) is not None:
        if there.data == image.value:
            return name, True
        name = f"{stem} ({number}){end}"
        number += 1
    if context.folders.has_folder(kind, posixpath.normpath(posixpath.join(where, name))):
        raise HandlerFailed("a folder has no bytes to compare")
    return name, False


def _masked(context: Context, form: Form, image: bytes, name: str) -> bytes | None:
    """The masked picture; None where the real handler leaves without writing."""
    original = _original(context, form.get("original_ref"))
    if original is None:
        return None
    # Whatever Pillow raises, the real handler raises it too; there is no common base.
    try:
        return images.with_mask(original.data, image, name)
    except Exception as error:
        raise HandlerFailed(str(error)) from None


def _original(context: Context, written: Value | None) -> StoredFile | None:
    try:
        ref = json.loads(written)  # type: ignore[arg-type]  # what is not text fails here
        name, kind = annotated(ref["filename"])
        subfolder = ref.get("subfolder", "")
        if not name or name[0] == "/" or ".." in name:
            return None
        kind = kind or ref.get("type", "output")
        if kind not in KINDS:
            return None
        where = below(context, kind, subfolder)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise HandlerFailed(str(error)) from None
    return None if where is None else context.folders.read(kind, where, name)
