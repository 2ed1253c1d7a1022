"""``/users`` and ``/settings``: who there is, and what they like.

PROTOCOL.md, section 10; recording ``userdata_settings_users``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from fake_server.http.context import Context, HandlerFailed, HttpError, read_json
from fake_server.http.question import RoutedRequest, empty, json_answer
from fake_server.http.userdata import USER_FILES, UnknownUser, path_of, user_of
from fake_server.source import Response

__all__ = ["add_user", "get_setting", "get_settings", "get_users", "post_setting", "post_settings"]

_SETTINGS: Final = "comfy.settings.json"
_SYSTEM_PREFIX: Final = "__"


def get_users(place: Context, ask: RoutedRequest) -> Response:
    """GET /users: all of them, or whether the only one has a folder."""
    if place.shop.multi_user:
        return json_answer({"storage": "server", "users": place.users})
    migrated = place.folders.has_folder(USER_FILES, user_of(place, ask))
    return json_answer({"storage": "server", "migrated": migrated})


def add_user(place: Context, ask: RoutedRequest) -> Response:
    """POST /users."""
    body = read_json(ask)
    if not isinstance(body, dict) or "username" not in body:
        raise HandlerFailed("no username")
    name = body["username"]
    if name in place.users.values():
        return json_answer({"error": "Duplicate username."}, 400)
    if not isinstance(name, str):
        raise HandlerFailed("the username is no text")
    if not name.strip():
        return _refusal(place, "username not provided")
    if name.strip().startswith(_SYSTEM_PREFIX) and place.era.has("user_errors"):
        return _refusal(place, "System User prefix not allowed")
    user = re.sub("[^a-zA-Z0-9-_]+", "-", name.strip()) + "_" + place.chance.uuid()
    place.users[user] = name.strip()
    return json_answer(user)


def _refusal(place: Context, why: str) -> Response:
    if not place.era.has("user_errors"):
        raise HandlerFailed(why)
    return json_answer({"error": why}, 400)


# --- settings --------------------------------------------------------------------------------


def _path(place: Context, ask: RoutedRequest) -> str:
    path = path_of(place, ask, _SETTINGS)
    assert path is not None
    return path


def _read(place: Context, ask: RoutedRequest) -> Any:
    try:
        path = _path(place, ask)
    except UnknownUser:
        raise HttpError(401) from None
    file = place.folders.read(USER_FILES, "", path)
    try:
        return json.loads(file.data) if file else {}
    except (ValueError, RecursionError):
        return {}


def _write(place: Context, ask: RoutedRequest, settings: dict[str, Any]) -> Response:
    data = json.dumps(settings, indent=4).encode()
    place.folders.write(USER_FILES, "", _path(place, ask), data, place.now)
    return empty()


def get_settings(place: Context, ask: RoutedRequest) -> Response:
    """GET /settings."""
    return json_answer(_read(place, ask))


def get_setting(place: Context, ask: RoutedRequest) -> Response:
    """GET /settings/{id}; ``null`` for one that nobody has set."""
    settings, name = _read(place, ask), ask.param["id"]
    # People can write the file as user data; whatever JSON it holds, the server looks into it.
    try:
        found = settings[name] if name in settings else None  # noqa: SIM401  may be a list
        return json_answer(found)
    except TypeError as error:
        raise HandlerFailed(str(error)) from None


def post_settings(place: Context, ask: RoutedRequest) -> Response:
    """POST /settings: the body's keys replace those of the same name."""
    settings, new = _read(place, ask), read_json(ask)
    if not isinstance(new, dict) or not isinstance(settings, dict):
        raise HandlerFailed("settings must be an object")
    return _write(place, ask, settings | new)


def post_setting(place: Context, ask: RoutedRequest) -> Response:
    """POST /settings/{id}."""
    settings, new = _read(place, ask), read_json(ask)
    if not isinstance(settings, dict):
        raise HandlerFailed("settings must be an object")
    settings[ask.param["id"]] = new
    return _write(place, ask, settings)
