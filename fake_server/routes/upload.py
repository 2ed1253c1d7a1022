"""``/upload/image`` and ``/upload/mask``: a form -> a file, or another name for it.

PROTOCOL.md, section 10; recording ``upload_and_view``.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Any

from fake_server import images
from fake_server.actions import Answer, FormField
from fake_server.files import StoredFile, inside
from fake_server.forms import BadForm, fields_of
from fake_server.question import Question, empty, json_answer
from fake_server.routes.kit import Failed, Place, extension
from fake_server.routes.view import KINDS, annotated

__all__ = ["upload_image", "upload_mask"]


def upload_image(place: Place, ask: Question) -> Answer:
    """Keep the file that was sent."""
    form = _form(ask)
    return _keep(place, form, lambda image: image)


def upload_mask(place: Place, ask: Question) -> Answer:
    """Keep the original that ``original_ref`` names, with the alpha of the file that was sent."""
    form = _form(ask)
    return _keep(place, form, lambda image: _masked(place, form, image))


def _form(ask: Question) -> dict[str, FormField]:
    """The first field of each name."""
    try:
        fields = fields_of(ask.header("Content-Type"), ask.body)
    except BadForm as error:
        raise Failed(str(error)) from None
    form: dict[str, FormField] = {}
    for field in fields:
        form.setdefault(field.name, field)
    return form


def _word(form: Mapping[str, FormField], name: str, default: str | None = None) -> str | None:
    field = form.get(name)
    if field is None:
        return default
    if field.filename:
        raise Failed(f"{name} is a file")
    try:
        return field.value.decode()
    except UnicodeDecodeError as error:
        raise Failed(str(error)) from None


def _keep(place: Place, form: Mapping[str, FormField], make: Any) -> Answer:
    image = form.get("image")
    kind = _word(form, "type", "input")
    if kind not in KINDS:
        raise Failed(f"no such folder: {kind}")
    if image is None or (not image.filename and not image.value):
        return empty(400)
    if not image.filename:
        raise Failed("text instead of a file")
    subfolder = _word(form, "subfolder", "") or ""
    where = inside(subfolder)
    path = inside(posixpath.normpath(subfolder), image.filename)
    if where is None or path is None:
        return empty(400)
    place.folders.make_folder(kind, where)
    overwrite = _word(form, "overwrite") in ("true", "1")
    name, is_there = (image.filename, False) if overwrite else _free(place, kind, where, image)
    if not is_there:
        made = make(image.value)
        if made is not None:
            place.folders.write(kind, where, name, made, place.now)
    return json_answer({"name": name, "subfolder": subfolder, "type": kind})


def _free(place: Place, kind: str, where: str, image: FormField) -> tuple[str, bool]:
    """A name that is free or whose file holds the same bytes, and which of the two."""
    assert image.filename is not None
    name, end = image.filename, extension(image.filename)
    stem, number = name[: len(name) - len(end)], 1
    while (there := place.folders.read(kind, where, name)) is not None:
        if there.data == image.value:
            return name, True
        name = f"{stem} ({number}){end}"
        number += 1
    return name, False


def _masked(place: Place, form: Mapping[str, FormField], image: bytes) -> bytes | None:
    """The masked picture; None where the real handler leaves without writing."""
    original = _original(place, form)
    if original is None:
        return None
    # Whatever Pillow raises, the real handler raises it too; there is no common base.
    try:
        return images.with_mask(original.data, image)
    except Exception as error:
        raise Failed(str(error)) from None


def _original(place: Place, form: Mapping[str, FormField]) -> StoredFile | None:
    try:
        ref = json.loads(_word(form, "original_ref"))  # type: ignore[arg-type]  # None fails below
        name, kind = annotated(ref["filename"])
        subfolder = ref.get("subfolder", "")
        if not name or name[0] == "/" or ".." in name:
            return None
        kind = kind or ref.get("type", "output")
        where = inside(subfolder)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Failed(str(error)) from None
    if kind not in KINDS or where is None:
        return None
    return place.folders.read(kind, where, name)
