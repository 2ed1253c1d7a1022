"""``/users`` and ``/settings``: who there is, and what they like.

protocol.md, section 10; recording ``userdata_settings_users``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from fake_server.http.context import (
    Context,
    HandlerFailed,
    HttpError,
    UnknownUser,
    read_json,
    user_of,
)
from fake_server.http.responses import empty, json_response
from fake_server.http.userdata import USER_FILES, path_of
from fake_server.source import Request, Response

__all__ = ["add_user", "get_setting", "get_settings", "get_users", "post_setting", "post_settings"]

_SETTINGS: Final = "comfy.settings.json"
_SYSTEM_PREFIX: Final = "__"


def get_users(context: Context, request: Request) -> Response:
    """GET /users: all of them, or whether the only one has a folder."""
    if context.options.multi_user:
        return json_response({"storage": "server", "users": context.users})
    migrated = context.folders.has_folder(USER_FILES, user_of(context, request))
    return json_response({"storage": "server", "migrated": migrated})


def add_user(context: Context, request: Request) -> Response:
    """POST /users."""
    body = read_json(request)
    if not isinstance(body, dict) or "username" not in body:
        raise HandlerFailed("no username")
    name = body["username"]
    if name in context.users.values():
        return json_response({"error": "Duplicate username."}, 400)
    if not isinstance(name, str):
        raise HandlerFailed("the username is not text")
    if not name.strip():
        return _refusal(context, "username not provided")
    if name.strip().startswith(_SYSTEM_PREFIX) and context.era.has("user_errors"):
        return _refusal(context, "System User prefix not allowed")
    user = re.sub("[^a-zA-Z0-9-_]+", "-", name.strip()) + "_" + context.random.uuid()
    context.users[user] = name.strip()
    return json_response(user)


def _refusal(context: Context, why: str) -> Response:
    if not context.era.has("user_errors"):
        raise HandlerFailed(why)
    return json_response({"error": why}, 400)


# --- settings --------------------------------------------------------------------------------


def _path(context: Context, request: Request) -> str:
    path = path_of(context, request, _SETTINGS)
    assert path is not None
    return path


def _read(context: Context, request: Request) -> Any:
    try:
        path = _path(context, request)
    except UnknownUser:
        raise HttpError(401) from None
    file = context.folders.read(USER_FILES, "", path)
    try:
        return json.loads(file.data) if file else {}
    except (ValueError, RecursionError):
        return {}


def _write(context: Context, request: Request, settings: dict[str, Any]) -> Response:
    data = json.dumps(settings, indent=4).encode()
    context.folders.write(USER_FILES, "", _path(context, request), data, context.now)
    return empty()


def get_settings(context: Context, request: Request) -> Response:
    """GET /settings."""
    return json_response(_read(context, request))


def get_setting(context: Context, request: Request, setting: str) -> Response:
    """GET /settings/{setting}; ``null`` for one that is not set."""
    settings = _read(context, request)
    # People can write the file as user data; whatever JSON it holds, the server looks into it.
    try:
        found = settings[setting] if setting in settings else None  # noqa: SIM401  may be a list
        return json_response(found)
    except TypeError as error:
        raise HandlerFailed(str(error)) from None


def post_settings(context: Context, request: Request) -> Response:
    """POST /settings: the body's keys replace those of the same name."""
    settings, new = _read(context, request), read_json(request)
    if not isinstance(new, dict) or not isinstance(settings, dict):
        raise HandlerFailed("settings must be an object")
    return _write(context, request, settings | new)


def post_setting(context: Context, request: Request, setting: str) -> Response:
    """POST /settings/{setting}."""
    settings, new = _read(context, request), read_json(request)
    if not isinstance(settings, dict):
        raise HandlerFailed("settings must be an object")
    settings[setting] = new
    return _write(context, request, settings)
