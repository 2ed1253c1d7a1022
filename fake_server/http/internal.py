"""``/internal``: the console, the folders, and who wants to read along.

protocol.md, section 10; recording ``logs_subscription``.
"""

from __future__ import annotations

from fake_server.http.console_log import TERMINAL, entry_of
from fake_server.http.context import Context, HandlerFailed, read_json
from fake_server.http.models import dirs_of, known_folders
from fake_server.http.responses import empty, json_response
from fake_server.http.view import KINDS
from fake_server.source import Request, Response

__all__ = ["files", "folder_paths", "logs", "raw_logs", "subscribe"]


def logs(context: Context, request: Request) -> Response:
    """GET /internal/logs: the console as one text."""
    entries = (entry_of(context, line) for line in context.log)
    return json_response("".join(f"{entry['t']} - {entry['m']}" for entry in entries))


def raw_logs(context: Context, request: Request) -> Response:
    """GET /internal/logs/raw."""
    context.size_sent = True
    entries = [entry_of(context, line) for line in context.log]
    return json_response({"entries": entries, "size": TERMINAL})


def subscribe(context: Context, request: Request) -> Response:
    """PATCH /internal/logs/subscribe."""
    wanted = read_json(request)
    try:
        client_id, enabled = wanted["clientId"], wanted["enabled"]
        hash(client_id)
    except (KeyError, TypeError, IndexError) as error:
        raise HandlerFailed(str(error)) from None
    if enabled:
        context.subscribers[client_id] = None
    else:
        context.subscribers.pop(client_id, None)
    return empty()


def folder_paths(context: Context, request: Request) -> Response:
    """GET /internal/folder_paths."""
    return json_response({name: dirs_of(context, name) for name in known_folders(context)})


def files(context: Context, request: Request, directory: str) -> Response:
    """GET /internal/files/{directory}: the newest first."""
    if directory not in KINDS:
        return json_response({"error": "Invalid directory type"}, 400)
    # Of files of one moment the later in name was most often written later.
    newest = sorted(_names(context, directory), reverse=True)
    mark = f" [{directory}]" if context.era.has("marked_files") else ""
    return json_response([name + mark for _, name in newest])


def _names(context: Context, kind: str) -> list[tuple[int, str]]:
    found = []
    for name in context.folders.names(kind):
        if name.startswith(".") and context.era.has("hidden_files"):
            continue
        modified = context.folders.modified_us(kind, "", name)
        found.append((modified or 0, name))
    return found
