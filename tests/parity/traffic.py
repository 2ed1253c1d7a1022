"""What a case hears and says: sockets with all their frames, and bodies written by hand."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import aiohttp

from tests.parity.normalize import Stop
from tests.parity.pictures import make_png, read_binary_frame


class Socket:
    """One websocket: everything it received, in order, with marks the case put in."""

    def __init__(self, name: str, client: str | None) -> None:
        self.name, self.client = name, client
        self.frames: list[dict] = []
        self.seen = 0  # wait steps search from here on
        self.last = time.monotonic()
        self.news = asyncio.Event()
        self.ws: aiohttp.ClientWebSocketResponse | None = None
        self.reader: asyncio.Task | None = None
        self.leaving = False

    def add(self, frame: dict) -> None:
        self.frames.append(frame)
        self.last = time.monotonic()
        self.news.set()

    async def read(self) -> None:
        async for message in self.ws:
            if message.type == aiohttp.WSMsgType.TEXT:
                try:
                    frame = json.loads(message.data)
                    self.add(
                        frame if isinstance(frame, dict) else {"type": "<json>", "data": frame}
                    )
                except ValueError:
                    self.add({"type": "<text>", "data": message.data})
            elif message.type == aiohttp.WSMsgType.BINARY:
                self.add(read_binary_frame(message.data))
        if not self.leaving:
            code = self.ws.close_code
            self.add(
                {
                    "type": "<closed>",
                    "data": {"code": "1006 or 1009" if code in (1006, 1009) else code},
                }
            )

    async def wait(self, match, limit: float, what: str, start: int | None = None) -> None:
        deadline = time.monotonic() + limit
        at = self.seen if start is None else start
        while True:
            while at < len(self.frames):
                at += 1
                if match(self.frames[at - 1]):
                    self.seen = max(self.seen, at)
                    return
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise Stop(f"socket {self.name}: no {what} within {limit:g} s") from None


def dig(value: Any, path: str) -> Any:
    for part in path.split("/"):
        if part:
            value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def matches(frame: dict, kind: str | None, where: dict) -> bool:
    if kind is not None and frame.get("type") != kind:
        return False
    data = frame.get("data")
    return all(
        isinstance(data, dict) and key in data and data[key] == wanted
        for key, wanted in where.items()
    )


def multipart(fields: list[dict]) -> tuple[bytes, str]:
    """A multipart body written by hand, so that a case can also send a wrong one."""
    boundary = "parity-" + uuid.uuid4().hex
    out = b""
    for field in fields:
        disposition = f'form-data; name="{field["name"]}"'
        if "filename" in field:
            disposition += f'; filename="{field["filename"]}"'
        lines = [f"--{boundary}", f"Content-Disposition: {disposition}"]
        if "type" in field:
            lines.append(f"Content-Type: {field['type']}")
        out += "\r\n".join(lines).encode() + b"\r\n\r\n" + content(field) + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def content(spec: dict) -> bytes:
    if "png" in spec:
        return make_png(**spec["png"])
    if "hex" in spec:
        return bytes.fromhex(spec["hex"])
    return str(spec.get("text", spec.get("value", ""))).encode()
