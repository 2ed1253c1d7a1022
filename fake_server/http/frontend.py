"""The front page, and files of a frontend where one is served."""

from __future__ import annotations

import posixpath
from typing import Final
from urllib.parse import unquote

from comfyrec.http.media_types import served_type
from fake_server.http.context import Context, HandlerFailed, HttpError
from fake_server.http.static import file_answer, no_file
from fake_server.source import Request, Response
from fake_server.storage.memory import StoredFile, nameable

__all__ = ["root", "static_file", "template"]

_FOLDERS: Final = frozenset({"assets", "docs", "extensions", "extensions/core"})
"""Folders of every frontend and its packages; their contents are not listed."""

_PAGE: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="UTF-8"/><title>ComfyUI (simulated)</title></head>
<body><h1>A simulated ComfyUI server</h1>
<p>Clients can talk to it as to the real one; nothing is computed. What it does just now:
<a href="__fake__/">/__fake__/</a>. <code>comfyrec serve --frontend</code> serves the real
web page here.</p></body></html>
"""


def root(context: Context, request: Request) -> Response:
    """GET /: index.html, which must not be cached."""
    found = context.options.frontend("index.html") if context.options.frontend else None
    store = "no-store, must-revalidate" if context.era.has("no_store") else "no-cache"
    headers = [("Cache-Control", store), ("Pragma", "no-cache"), ("Expires", "0")]
    return file_answer(
        request, found or StoredFile(_PAGE, 0), context.epoch_us, headers, guess="text/html"
    )


def template(context: Context, request: Request, path: str) -> Response:
    """GET /templates/{path}: 404 where the package of workflow templates is not installed."""
    name = posixpath.normpath(f"templates/{unquote(path)}")
    found = None
    if context.options.frontend is not None and name.startswith("templates/") and nameable(name):
        found = context.options.frontend(name)
    if found is None:
        raise HttpError(404)
    return _served(context, request, name, found)


def static_file(context: Context, request: Request, path: str) -> Response:
    """Any path that no route has: a file below the web root, or 404 without a length."""
    name = unquote(path[1:])
    if name.startswith("/") or "\0" in name:
        raise HttpError(404)
    normal = posixpath.normpath(name)
    if normal.startswith(".."):
        raise HttpError(404)
    if normal in _FOLDERS or (normal == "templates" and not context.era.has("template_routes")):
        raise HttpError(403)
    if not nameable(name):
        raise HandlerFailed("no file system has such a name")
    found = _found(context, normal)
    return no_file() if found is None else _served(context, request, normal, found)


def _found(context: Context, name: str) -> StoredFile | None:
    if context.options.frontend is not None:
        return context.options.frontend(name)
    return StoredFile(_PAGE, 0) if name == "index.html" else None


def _served(context: Context, request: Request, name: str, file: StoredFile) -> Response:
    return file_answer(request, file, context.epoch_us, guess=served_type(name))
