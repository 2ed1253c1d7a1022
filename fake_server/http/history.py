"""``/history``: what became of the prompts that are over.

protocol.md, section 8.
"""

from __future__ import annotations

from fake_server.http.context import Context, HandlerFailed, keys_of, listed
from fake_server.http.responses import empty, json_response
from fake_server.source import Request, Response

__all__ = ["get_history", "get_history_of", "post_history"]


def get_history(context: Context, request: Request) -> Response:
    """All of the history, or a window of it."""
    most = _whole(request, "max_items")
    offset = _whole(request, "offset") if context.engine.era.has("history_offset") else None
    entries = context.engine.history
    if most is None and offset is None:
        return json_response(entries)
    first = -1 if offset is None else offset
    if first < 0 and most is not None:
        first = len(entries) - most
    # The server stops once enough were taken, which is never before the first one.
    keys = [key for index, key in enumerate(entries) if index >= first]
    if most is not None:
        keys = keys[: max(1, most)]
    return json_response({key: entries[key] for key in keys})


def _whole(request: Request, name: str) -> int | None:
    value = request.first(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError as error:
        raise HandlerFailed(str(error)) from None


def get_history_of(context: Context, request: Request, prompt_id: str) -> Response:
    """One prompt's entry under its id; an empty object while there is none."""
    entry = context.engine.history.get(prompt_id)
    return json_response({} if entry is None else {prompt_id: entry})


def post_history(context: Context, request: Request) -> Response:
    """Forget entries: ``{"clear": true}`` or ``{"delete": [ids]}``."""
    history, body = context.engine.history, keys_of(request)
    if body.get("clear"):
        history.clear()
    for one in listed(body, "delete"):
        try:
            history.pop(one, None)
        except TypeError as error:  # a list or object where an id should be
            raise HandlerFailed(str(error)) from None
    return empty()
