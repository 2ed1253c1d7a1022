"""What live clients put on the server: uploaded files, and what is said of them.

The live client's own bytes come back under the live name, as on a real server; the recording says
only what was answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.events.outputs import FileEntry
from comfyrec.http.forms import BadForm, FormField
from comfyrec.http.large_body import StoredBody
from comfyrec.http.request import loads_or_none
from fake_server.source import Request

__all__ = [
    "UPLOADS",
    "File",
    "Uploads",
    "asset_place",
    "bound_fields",
    "form_of",
    "upload_of",
    "viewed_file",
]

UPLOADS: Final = ("upload", "v2/assets")
"""The routes that take files."""
MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
DISK_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024


class File(msgspec.Struct, frozen=True):
    """A file that a live client put on the server, or as a recorded /view gave it."""

    body: bytes
    content_type: str
    stored: StoredBody | None = None
    """The body, when it stands in a file of ours; ``body`` is empty then."""


class Uploads:
    """Files that clients put on the server and may view again, by their place.

    They are bounded, in memory and on disk; the oldest go first.
    """

    def __init__(self) -> None:
        self._files: dict[FileEntry, File] = {}

    def __contains__(self, place: FileEntry) -> bool:
        return place in self._files

    def get(self, place: FileEntry) -> File | None:
        """The file there."""
        return self._files.get(place)

    def keep(self, place: FileEntry, file: File) -> None:
        """A file was uploaded."""
        self._files.pop(place, None)
        self._files[place] = file
        while (
            sum(len(one.body) for one in self._files.values()) > MEMORY_BYTES_MAX
            or sum(one.stored.size for one in self._files.values() if one.stored) > DISK_BYTES_MAX
        ):
            del self._files[next(iter(self._files))]


Form = dict[str, FormField]


def form_of(request: Request) -> Form:
    """The fields of a form by name; empty when the body is not a form."""
    try:
        return {field.name: field for field in request.form()}
    except BadForm:
        return {}


def viewed_file(request: Request) -> FileEntry | None:
    """The file that a /view asks for, by its live name."""
    if request.method not in ("GET", "HEAD") or request.path != "/view":
        return None
    return FileEntry.of({name: values[0] for name, values in request.query.items()})


def asset_place(id: str) -> FileEntry:
    """Where the bytes of an asset of Comfy API v2 are kept."""
    return FileEntry(id, "", "asset")


def upload_of(request: Request, answer: bytes) -> tuple[FileEntry, File] | None:
    """The file that a request stored, by what the server answered; None when it stored none."""
    said: Any = loads_or_none(answer) if answer[:1] == b"{" else None
    if not isinstance(said, dict):
        return None
    file = next((field for field in form_of(request).values() if field.filename), None)
    if file is None:
        return None
    if isinstance(said.get("name"), str):
        folder, type = str(said.get("subfolder") or ""), str(said.get("type") or "input")
        place = FileEntry(said["name"], folder, type)
    elif isinstance(said.get("id"), str):
        place = asset_place(said["id"])
    else:
        return None
    kind = file.content_type or "application/octet-stream"
    return place, File(file.value, kind, file.stored)


def bound_fields(recorded: Form, live: Form) -> Iterator[tuple[str, str]]:
    """(recorded text, live text) of the names in two uploads."""
    for name, ours in live.items():
        theirs = recorded.get(name)
        if theirs is None:
            continue
        if ours.filename and theirs.filename:
            yield theirs.filename, ours.filename
        elif not ours.filename and not theirs.filename:
            yield theirs.value.decode("utf-8", "replace"), ours.value.decode("utf-8", "replace")
