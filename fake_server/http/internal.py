"""``/internal``: the console, the folders, and who wants to read along.

PROTOCOL.md, section 10; recording ``logs_subscription``.
"""

from __future__ import annotations

from fake_server.http.console_log import TERMINAL, entry_of
from fake_server.http.context import Context, HandlerFailed, read_json
from fake_server.http.models import dirs_of, known_folders
from fake_server.http.question import RoutedRequest, empty, json_answer
from fake_server.http.view import KINDS
from fake_server.source import Response

__all__ = ["files", "folder_paths", "logs", "raw_logs", "subscribe"]


def logs(place: Context, ask: RoutedRequest) -> Response:
    """GET /internal/logs: the console as one text."""
    entries = (entry_of(place, line) for line in place.log)
    return json_answer("".join(f"{entry['t']} - {entry['m']}" for entry in entries))


def raw_logs(place: Context, ask: RoutedRequest) -> Response:
    """GET /internal/logs/raw."""
    place.told_size = True
    entries = [entry_of(place, line) for line in place.log]
    return json_answer({"entries": entries, "size": TERMINAL})


def subscribe(place: Context, ask: RoutedRequest) -> Response:
    """PATCH /internal/logs/subscribe."""
    wanted = read_json(ask)
    try:
        client_id, enabled = wanted["clientId"], wanted["enabled"]
        hash(client_id)
    except (KeyError, TypeError, IndexError) as error:
        raise HandlerFailed(str(error)) from None
    if enabled:
        place.subscribers[client_id] = None
    else:
        place.subscribers.pop(client_id, None)
    return empty()


def folder_paths(place: Context, ask: RoutedRequest) -> Response:
    """GET /internal/folder_paths."""
    return json_answer({name: dirs_of(place, name) for name in known_folders(place)})


def files(place: Context, ask: RoutedRequest) -> Response:
    """GET /internal/files/{directory}: the newest first."""
    kind = ask.param["directory"]
    if kind not in KINDS:
        return json_answer({"error": "Invalid directory type"}, 400)
    # Of files of one moment the later in name was most often written later.
    newest = sorted(_names(place, kind), reverse=True)
    mark = f" [{kind}]" if place.era.has("marked_files") else ""
    return json_answer([name + mark for _, name in newest])


def _names(place: Context, kind: str) -> list[tuple[int, str]]:
    found = []
    for name in place.folders.names(kind):
        if name.startswith(".") and place.era.has("preview_method"):
            continue
        modified = place.folders.modified_us(kind, "", name)
        found.append((modified or 0, name))
    return found
