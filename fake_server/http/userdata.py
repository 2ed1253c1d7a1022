"""``/userdata`` and ``/v2/userdata``: the files of a user.

protocol.md, section 10; recording ``userdata_settings_users``.
"""

from __future__ import annotations

import posixpath
from typing import Any, Final
from urllib.parse import unquote

from comfyrec.http.media_types import OCTETS, guessed_type, served_type
from fake_server.http.context import Context, HandlerFailed, UnknownUser, below, user_of
from fake_server.http.responses import empty, json_response, text
from fake_server.http.static import file_answer, no_plain_file
from fake_server.http.view import is_dangerous
from fake_server.source import Request, Response
from fake_server.storage.memory import StoredFile, nameable

__all__ = [
    "USER_FILES",
    "delete",
    "get",
    "list_v2",
    "listing",
    "move",
    "path_of",
    "post",
]

USER_FILES: Final = "user"
"""The kind of folder; below it each user has one of that user's id."""


_FOLDER_SIZE: Final = 4_096
"""Of every folder, on the file systems of Linux."""


def path_of(context: Context, request: Request, name: str, *, make: bool = True) -> str | None:
    """A name as a path below the users' folder; None when it leaves the user's own.

    ``make``: make the folder that it lies in, as the real server does even when it only reads.
    """
    user = user_of(context, request)
    if "%" in name:
        name = unquote(name)
    found = below(context, f"{USER_FILES}/{user}", name)
    if found is None:
        return None
    path = posixpath.join(user, found) if found else user
    if make:
        _make_parent(context, posixpath.dirname(path))
    return path


def _make_parent(context: Context, folder: str) -> None:
    if context.folders.has(USER_FILES, "", folder):
        return
    if not context.folders.takes_folder(USER_FILES, folder):
        raise HandlerFailed(f"{folder} cannot be made")
    context.folders.make_folder(USER_FILES, folder)


def _exists(context: Context, path: str) -> bool:
    return context.folders.has(USER_FILES, "", path) or context.folders.has_folder(USER_FILES, path)


def _read(context: Context, path: str) -> StoredFile | None:
    return context.folders.read(USER_FILES, "", path)


def _info(context: Context, path: str, relative_to: str) -> dict[str, Any]:
    file = _read(context, path) or StoredFile(bytes(_FOLDER_SIZE), context.now, context.now)
    return {
        "path": posixpath.relpath(path, relative_to),
        "size": len(file.data),
        "modified": _stamp(context, file.modified_us),
        "created": _stamp(context, file.changed_us),
    }


def _stamp(context: Context, moment_us: int) -> int | float:
    """Whole milliseconds; seconds before 0.8."""
    moment = context.epoch_us + moment_us
    return moment // 1_000 if context.era.has("userdata_milliseconds") else moment / 1e6


def _described(context: Context, request: Request, path: str) -> Response:
    user = user_of(context, request)
    if (request.first("full_info") or "").lower() == "true":
        return json_response(_info(context, path, user))
    return json_response(posixpath.relpath(path, user))


# --- listings --------------------------------------------------------------------------------


def listing(context: Context, request: Request) -> Response:
    """GET /userdata?dir=: names, paths or facts of the files in a folder."""
    wordy = context.era.has("internal_routes")
    folder = request.first("dir") or ""
    if not folder:
        return text("Directory not provided", 400) if wordy else empty(400)
    path = path_of(context, request, folder)
    if path is None:
        return text("Invalid directory", 403) if wordy else empty(403)
    if not _exists(context, path):
        return text("Directory not found", 404) if wordy else empty(404)
    flags = {name: (request.first(name) or "").lower() == "true"
             for name in ("recurse", "full_info", "split")}  # fmt: skip
    found = []
    for where, _, names in context.folders.walk(USER_FILES, path):
        if where == path or (flags["recurse"] and not _is_hidden(posixpath.relpath(where, path))):
            found += [posixpath.join(where, name) for name in names if not _is_hidden(name)]
    return json_response([_entry(context, one, path, flags) for one in found])


def _is_hidden(path: str) -> bool:
    # glob's "*" and "**" pass over such names.
    return any(name.startswith(".") for name in path.split("/"))


def _entry(context: Context, path: str, folder: str, flags: dict[str, bool]) -> Any:
    if flags["full_info"]:
        return _info(context, path, folder)
    relative = posixpath.relpath(path, folder)
    return [relative, *relative.split("/")] if flags["split"] else relative


def list_v2(context: Context, request: Request) -> Response:
    """GET /v2/userdata?path=: everything below a folder, folders first."""
    wanted = unquote(request.first("path") or "")
    try:
        user = user_of(context, request)
        path = path_of(context, request, wanted, make=False) if wanted else user
    except UnknownUser:
        return text("Invalid user specified in request", 403)
    if path is None:
        return text("Invalid path requested", 400)
    if not _exists(context, path):
        return json_response([]) if path == user else text("Requested path not found", 404)
    if not context.folders.has_folder(USER_FILES, path):
        return text("Requested path is not a directory", 400)
    entries: list[dict[str, Any]] = []
    for where, folders, names in context.folders.walk(USER_FILES, path):
        relative = "" if where == user else posixpath.relpath(where, user)
        entries += [_v2(posixpath.join(relative, name), "directory") for name in folders]
        for name in names:
            file = _read(context, posixpath.join(where, name))
            assert file is not None
            modified = (context.epoch_us + file.modified_us) / 1e6
            facts = {"size": len(file.data), "modified": modified}
            entries.append(_v2(posixpath.join(relative, name), "file") | facts)
    entries.sort(key=lambda entry: (entry["type"] != "directory", entry["name"].lower()))
    return json_response(entries)


def _v2(path: str, kind: str) -> dict[str, Any]:
    return {"name": posixpath.basename(path), "path": path, "type": kind}


# --- single files ----------------------------------------------------------------------------


def get(context: Context, request: Request, file: str) -> Response:
    """GET /userdata/{file}."""
    path = path_of(context, request, file)
    if path is None:
        return empty(403)
    if not _exists(context, path):
        return empty(404)
    stored = _read(context, path)
    headers = _download(path) if context.era.has("view_nosniff") else []
    if file == "user.css" and context.era.has("user_css"):
        headers = _STYLES
    if stored is None:
        return no_plain_file(headers)
    return file_answer(request, stored, context.epoch_us, headers, guess=served_type(path))


_STYLES: Final = [
    ("Content-Type", "text/css"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Disposition", "inline"),
]


def _download(path: str) -> list[tuple[str, str]]:
    kind = guessed_type(path)
    return [
        ("Content-Type", OCTETS if is_dangerous(kind) else kind),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Disposition", "attachment"),
    ]


def post(context: Context, request: Request, file: str) -> Response:
    """POST /userdata/{file}: the body is the file."""
    path = path_of(context, request, file)
    if path is None:
        return empty(403)
    if request.first("overwrite") == "false" and _exists(context, path):
        return _taken(context)
    if "\0" in path:
        return _broken("a zero byte in the name")
    if not context.folders.takes_file(USER_FILES, path):
        return (
            Response(400, reason=_BAD_NAME)
            if context.era.has("bad_filenames")
            else _broken("it cannot be written")
        )
    context.folders.write(USER_FILES, "", path, request.body, context.now)
    return _described(context, request, path)


_BAD_NAME: Final = 'Invalid filename. Please avoid special characters like :\\/*?"<>|'


def _broken(why: str) -> Response:
    raise HandlerFailed(why)


def _taken(context: Context) -> Response:
    return text("File already exists", 409) if context.era.has("internal_routes") else empty(409)


def delete(context: Context, request: Request, file: str) -> Response:
    """DELETE /userdata/{file}."""
    path = path_of(context, request, file)
    if path is None:
        return empty(403)
    if not _exists(context, path):
        return empty(404)
    if not context.folders.remove(USER_FILES, "", path):
        raise HandlerFailed("the file is a folder")
    return empty(204)


def move(context: Context, request: Request, file: str, destination: str) -> Response:
    """POST /userdata/{file}/move/{destination}."""
    source = path_of(context, request, file)
    if source is None:
        return empty(403)
    if not _exists(context, source):
        return empty(404)
    target = path_of(context, request, destination)
    if target is None:
        return empty(403) if context.era.has("user_errors") else _broken("nowhere to move it to")
    if request.first("overwrite") == "false" and _exists(context, target):
        return _taken(context)
    context.folders.move(USER_FILES, source, _landing(context, source, target), context.now)
    return _described(context, request, target)


def _landing(context: Context, source: str, target: str) -> str:
    """Where ``shutil.move`` puts it: into a folder of that name, where there is one."""
    folders = context.folders
    end = target
    if folders.has_folder(USER_FILES, target):
        end = posixpath.join(target, posixpath.basename(source))
        if _exists(context, end):
            raise HandlerFailed(f"{end} exists")
    is_folder = folders.has_folder(USER_FILES, source)
    if is_folder and (f"{end}/".startswith(f"{source}/") or _exists(context, end)):
        raise HandlerFailed(f"a folder cannot become {end}")
    if not nameable(end) or not folders.has_folder(USER_FILES, posixpath.dirname(end)):
        raise HandlerFailed(f"{end} cannot be written")
    return end
