"""A client of a source, without a shell: requests, upgrades, and what was sent."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image

from comfyrec.versions import era_of
from fake_server.options import ServerOptions
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


HOST = ("Host", "127.0.0.1:8188")
BOUNDARY = "limit"
FORM = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")


def server_of(version: str, **options: Any) -> SimulatedServer:
    """A server of that version of ComfyUI."""
    return SimulatedServer(ServerOptions(era=era_of(version), **options))


def ask(
    server: Any,
    method: str,
    target: str,
    body: Any = b"",
    *headers: tuple[str, str],
    now: int = 0,
    **fields: str,
) -> Response:
    """One request without a shell; ``fields`` are headers too, with ``_`` for ``-``."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    others = ((name.replace("_", "-"), value) for name, value in fields.items())
    request = Request(method, target, (HOST, *headers, *others), data)
    actions = list(server.handle(RequestReceived(1, request), now))
    return next(action.answer for action in actions if isinstance(action, Respond))


def json_of(answer: Response) -> Any:
    return json.loads(answer.body)


def part(name: str, value: bytes | str, filename: str | None = None, kind: str = "") -> bytes:
    """One field of a form."""
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' if filename is not None else ""
    head += f"\r\nContent-Type: {kind}" if kind else ""
    data = value if isinstance(value, bytes) else value.encode()
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def upload(server: SimulatedServer, *parts: bytes, route: str = "image") -> Response:
    """Send a form."""
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return ask(server, "POST", f"/upload/{route}", body, FORM)


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
