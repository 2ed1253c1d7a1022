"""A client of a source, without a shell: requests, upgrades, and what was sent."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image

from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Action,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Wake,
    Woke,
)

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


def ask(
    server: Any, method: str, target: str, body: Any = b"", now: int = 0, **fields: str
) -> Response:
    """One request without a shell."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = (("Host", "127.0.0.1:8188"), *((k.replace("_", "-"), v) for k, v in fields.items()))
    actions = list(server.handle(RequestReceived(1, Request(method, target, headers, data)), now))
    return next(action.answer for action in actions if isinstance(action, Respond))


def json_of(answer: Response) -> Any:
    return json.loads(answer.body)


def upgrade(
    server: SimulatedServer, target: str = "/ws?clientId=me", socket: int = 7, **fields: str
) -> list[Action]:
    headers = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return list(server.handle(UpgradeRequested(socket, Request("GET", target, headers)), 0))


def run_out(server: SimulatedServer, actions: list[Action]) -> list[Action]:
    """Wake the server until it has nothing more to do."""
    done, open_ = list(actions), list(actions)
    while wakes := [action.at for action in open_ if isinstance(action, Wake)]:
        open_ = list(server.handle(Woke(), max(wakes)))
        done += open_
    return done


def types(actions: list[Action]) -> list[str]:
    return [json.loads(a.message)["type"] for a in actions if isinstance(a, Send)]


def png(size: tuple[int, int] = (4, 4), alpha: int = 255) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", size, (9, 9, 9, alpha)).save(buffer, "PNG")
    return buffer.getvalue()
