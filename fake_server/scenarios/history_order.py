"""The socket is silent, and the history also holds other users' prompts, older and newer ones."""

from __future__ import annotations

import json
from typing import Any

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    anything,
    drop,
    event,
    patch_json,
    route,
    threads,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def newer(value: Any, request: Request, observer: Observer) -> Any:
        mine = [prompt.id for prompt in observer.mine() if prompt.id in value]
        if not mine:
            return value
        other = json.loads(json.dumps(value[mine[-1]]).replace("ComfyUI_", "somebody_else_"))
        older, newest = scene_id(1), scene_id(2)
        if request.first("max_items") == "1":
            return {newest: other}
        return {older: other, **value, newest: other}

    whole = patch_json(route("GET /history"), "the whole history", newer)
    silence = drop(anything, "everything", after=event("execution_start"))
    return Directions(operators=(silence, whole))


def scene_id(number: int) -> str:
    """The id of another prompt."""
    return f"00000000-0000-4000-8000-{number:012d}"


SCENARIO = Scenario(
    name="history-order",
    row="A77",
    category="history",
    summary=__doc__,
    correct="asks for its own id, and never takes the last entry",
    keeps=("K4", "K5"),
    evidence=threads("the server's code: max_items, offset, oldest first"),
    direct=direct,
)
