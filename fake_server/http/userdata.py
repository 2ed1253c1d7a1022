"""``/userdata`` and ``/v2/userdata``: the files of a user.

PROTOCOL.md, section 10; recording ``userdata_settings_users``.
"""

from __future__ import annotations

import posixpath
from typing import Any, Final
from urllib.parse import unquote

from fake_server.http.context import Context, HandlerFailed, below, text
from fake_server.http.media_types import OCTETS, guessed_type, served_type
from fake_server.http.question import RoutedRequest, empty, json_answer
from fake_server.http.static import file_answer, no_plain_file
from fake_server.http.view import is_dangerous
from fake_server.source import Response
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
    "user_of",
]

USER_FILES: Final = "user"
"""The kind of folder; below it each user has one of that user's id."""


_FOLDER_SIZE: Final = 4_096
"""Of every folder, on the file systems of Linux."""


class UnknownUser(HandlerFailed):
    """``comfy-user`` names nobody."""


def user_of(place: Context, ask: RoutedRequest) -> str:
    """The id of the user who asks.

    Raises:
        UnknownUser: with ``--multi-user``, an id that is not registered.
    """
    user = ask.header("comfy-user", "default") if place.shop.multi_user else "default"
    if user not in place.users:
        raise UnknownUser(user)
    return user


def path_of(place: Context, ask: RoutedRequest, name: str, *, make: bool = True) -> str | None:
    """A name as a path below the users' folder; None when it leaves the user's own.

    ``make``: make the folder that it lies in, as the real server does even when it only reads.
    """
    user = user_of(place, ask)
    if "%" in name:
        name = unquote(name)
    found = below(place, f"{USER_FILES}/{user}", name)
    if found is None:
        return None
    path = posixpath.join(user, found) if found else user
    if make:
        _make_parent(place, posixpath.dirname(path))
    return path


def _make_parent(place: Context, folder: str) -> None:
    if place.folders.has(USER_FILES, "", folder):
        return
    if not place.folders.takes_folder(USER_FILES, folder):
        raise HandlerFailed(f"{folder} cannot be made")
    place.folders.make_folder(USER_FILES, folder)


def _exists(place: Context, path: str) -> bool:
    return place.folders.has(USER_FILES, "", path) or place.folders.has_folder(USER_FILES, path)


def _read(place: Context, path: str) -> StoredFile | None:
    return place.folders.read(USER_FILES, "", path)


def _info(place: Context, path: str, relative_to: str) -> dict[str, Any]:
    file = _read(place, path) or StoredFile(bytes(_FOLDER_SIZE), place.now, place.now)
    return {
        "path": posixpath.relpath(path, relative_to),
        "size": len(file.data),
        "modified": _stamp(place, file.modified_us),
        "created": _stamp(place, file.changed_us),
    }


def _stamp(place: Context, moment_us: int) -> int | float:
    """Whole milliseconds; seconds before 0.8."""
    moment = place.epoch_us + moment_us
    return moment // 1_000 if place.era.has("userdata_milliseconds") else moment / 1e6


def _told(place: Context, ask: RoutedRequest, path: str) -> Response:
    user = user_of(place, ask)
    if (ask.asked("full_info") or "").lower() == "true":
        return json_answer(_info(place, path, user))
    return json_answer(posixpath.relpath(path, user))


# --- listings --------------------------------------------------------------------------------


def listing(place: Context, ask: RoutedRequest) -> Response:
    """GET /userdata?dir=: names, paths or facts of the files in a folder."""
    wordy = place.era.has("internal_routes")
    folder = ask.asked("dir") or ""
    if not folder:
        return text("Directory not provided", 400) if wordy else empty(400)
    path = path_of(place, ask, folder)
    if path is None:
        return text("Invalid directory", 403) if wordy else empty(403)
    if not _exists(place, path):
        return text("Directory not found", 404) if wordy else empty(404)
    flags = {name: (ask.asked(name) or "").lower() == "true"
             for name in ("recurse", "full_info", "split")}  # fmt: skip
    found = []
    for where, _, names in place.folders.walk(USER_FILES, path):
        if where == path or (flags["recurse"] and not _is_hidden(posixpath.relpath(where, path))):
            found += [posixpath.join(where, name) for name in names if not _is_hidden(name)]
    return json_answer([_entry(place, one, path, flags) for one in found])


def _is_hidden(path: str) -> bool:
    # glob's "*" and "**" pass over such names.
    return any(name.startswith(".") for name in path.split("/"))


def _entry(place: Context, path: str, folder: str, flags: dict[str, bool]) -> Any:
    if flags["full_info"]:
        return _info(place, path, folder)
    relative = posixpath.relpath(path, folder)
    return [relative, *relative.split("/")] if flags["split"] else relative


def list_v2(place: Context, ask: RoutedRequest) -> Response:
    """GET /v2/userdata?path=: everything below a folder, folders first."""
    wanted = unquote(ask.asked("path") or "")
    try:
        user = user_of(place, ask)
        path = path_of(place, ask, wanted, make=False) if wanted else user
    except UnknownUser:
        return text("Invalid user specified in request", 403)
    if path is None:
        return text("Invalid path requested", 400)
    if not _exists(place, path):
        return json_answer([]) if path == user else text("Requested path not found", 404)
    if not place.folders.has_folder(USER_FILES, path):
        return text("Requested path is not a directory", 400)
    entries: list[dict[str, Any]] = []
    for where, folders, names in place.folders.walk(USER_FILES, path):
        relative = "" if where == user else posixpath.relpath(where, user)
        entries += [_v2(posixpath.join(relative, name), "directory") for name in folders]
        for name in names:
            file = _read(place, posixpath.join(where, name))
            assert file is not None
            modified = (place.epoch_us + file.modified_us) / 1e6
            facts = {"size": len(file.data), "modified": modified}
            entries.append(_v2(posixpath.join(relative, name), "file") | facts)
    entries.sort(key=lambda entry: (entry["type"] != "directory", entry["name"].lower()))
    return json_answer(entries)


def _v2(path: str, kind: str) -> dict[str, Any]:
    return {"name": posixpath.basename(path), "path": path, "type": kind}


# --- single files ----------------------------------------------------------------------------


def get(place: Context, ask: RoutedRequest) -> Response:
    """GET /userdata/{file}."""
    path = path_of(place, ask, ask.param["file"])
    if path is None:
        return empty(403)
    if not _exists(place, path):
        return empty(404)
    file = _read(place, path)
    headers = _download(path) if place.era.has("view_nosniff") else []
    if file is None:
        return no_plain_file(headers)
    return file_answer(ask, file, place.epoch_us, headers, guess=served_type(path))


def _download(path: str) -> list[tuple[str, str]]:
    kind = guessed_type(path)
    return [
        ("Content-Type", OCTETS if is_dangerous(kind) else kind),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Disposition", "attachment"),
    ]


def post(place: Context, ask: RoutedRequest) -> Response:
    """POST /userdata/{file}: the body is the file."""
    path = path_of(place, ask, ask.param["file"])
    if path is None:
        return empty(403)
    if ask.asked("overwrite") == "false" and _exists(place, path):
        return _taken(place)
    if "\0" in path:
        return _broken("a zero byte in the name")
    if not place.folders.takes_file(USER_FILES, path):
        return (
            Response(400, reason=_BAD_NAME)
            if place.era.has("frontend_routes")
            else _broken("it cannot be written")
        )
    place.folders.write(USER_FILES, "", path, ask.body, place.now)
    return _told(place, ask, path)


_BAD_NAME: Final = 'Invalid filename. Please avoid special characters like :\\/*?"<>|'


def _broken(why: str) -> Response:
    raise HandlerFailed(why)


def _taken(place: Context) -> Response:
    return text("File already exists", 409) if place.era.has("internal_routes") else empty(409)


def delete(place: Context, ask: RoutedRequest) -> Response:
    """DELETE /userdata/{file}."""
    path = path_of(place, ask, ask.param["file"])
    if path is None:
        return empty(403)
    if not _exists(place, path):
        return empty(404)
    if not place.folders.remove(USER_FILES, "", path):
        raise HandlerFailed("the file is a folder")
    return empty(204)


def move(place: Context, ask: RoutedRequest) -> Response:
    """POST /userdata/{file}/move/{dest}."""
    source = path_of(place, ask, ask.param["file"])
    if source is None:
        return empty(403)
    if not _exists(place, source):
        return empty(404)
    target = path_of(place, ask, ask.param["dest"])
    if target is None:
        return empty(403) if place.era.has("user_errors") else _broken("nowhere to move it to")
    if ask.asked("overwrite") == "false" and _exists(place, target):
        return _taken(place)
    place.folders.move(USER_FILES, source, _landing(place, source, target), place.now)
    return _told(place, ask, target)


def _landing(place: Context, source: str, target: str) -> str:
    """Where ``shutil.move`` puts it: into a folder of that name, where there is one."""
    folders = place.folders
    end = target
    if folders.has_folder(USER_FILES, target):
        end = posixpath.join(target, posixpath.basename(source))
        if _exists(place, end):
            raise HandlerFailed(f"{end} exists")
    is_folder = folders.has_folder(USER_FILES, source)
    if is_folder and (f"{end}/".startswith(f"{source}/") or _exists(place, end)):
        raise HandlerFailed(f"a folder cannot become {end}")
    if not nameable(end) or not folders.has_folder(USER_FILES, posixpath.dirname(end)):
        raise HandlerFailed(f"{end} cannot be written")
    return end
