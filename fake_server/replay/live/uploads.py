"""What live clients put on the server: uploaded files, and what is said of them.

The live client's own bytes come back under the live name, as on a real server; the recording says
only what was answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from comfyrec.events.outputs import FileEntry
from comfyrec.http.forms import BadForm, fields_of
from comfyrec.http.request import loads_or_none
from fake_server.source import Request

__all__ = ["Upload", "bound_fields", "form_of", "upload_of", "viewed_file"]


class Upload(msgspec.Struct, frozen=True):
    """A file that a live client put on the server."""

    body: bytes
    content_type: str


Form = dict[str, tuple[str, bytes, str]]
"""Field -> (file name, or "" for a text; value; content type)."""


def form_of(content_type: str, body: bytes) -> Form:
    """The fields of a multipart body; empty when it is none."""
    if not content_type.startswith("multipart/"):
        return {}
    try:
        fields = fields_of(content_type, body)
    except BadForm:
        return {}
    return {f.name: (f.filename or "", f.value, f.content_type or "") for f in fields}


def viewed_file(request: Request) -> FileEntry | None:
    """The file that a GET /view asks for, by its live name."""
    path, _, query = request.target.partition("?")
    if path.removeprefix("/api") != "/view":
        return None
    return FileEntry.of(dict(reversed(parse_qsl(query, keep_blank_values=True))))


def upload_of(request: Request, answer: bytes) -> tuple[FileEntry, Upload] | None:
    """The file that a request stored, by what the server answered; None when it stored none."""
    said: Any = loads_or_none(answer) if answer[:1] == b"{" else None
    form = form_of(request.header("Content-Type"), request.body)
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        return None
    name, subfolder, kind = said["name"], said.get("subfolder"), said.get("type")
    files = [(value, content_type) for filename, value, content_type in form.values() if filename]
    if not files:
        return None
    value, content_type = files[0]
    place = FileEntry(name, str(subfolder or ""), str(kind or "input"))
    return place, Upload(value, content_type or "application/octet-stream")


def bound_fields(recorded: Form, live: Form) -> Iterator[tuple[str, str]]:
    """(recorded text, live text) of the names in two uploads, where they differ."""
    for name, (filename, value, _) in live.items():
        theirs = recorded.get(name)
        if theirs is None:
            continue
        if filename and theirs[0]:
            yield theirs[0], filename
        elif not filename and not theirs[0]:
            yield theirs[1].decode("utf-8", "replace"), value.decode("utf-8", "replace")
