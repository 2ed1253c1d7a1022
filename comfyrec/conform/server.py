"""A running server, asked over the network."""

from __future__ import annotations

import http.client
import ipaddress
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from comfyrec.conform.probes import METADATA, Answer, Run
from comfyrec.errors import UsageError
from comfyrec.wording import reason

__all__ = ["LiveServer"]

ANSWER_S: Final = 15.0
"""Seconds that one answer may take."""
RUN_S: Final = 60.0
"""Seconds that the small prompt may take."""


class LiveServer:
    """The questions of ``probes``, over HTTP and a WebSocket.

    Args:
        url: where the server is, such as ``http://127.0.0.1:8188``.

    Raises:
        UsageError: not an address, nobody answers there, or what answers is not ComfyUI.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            split = urlsplit(self.url)
            self._port = split.port
        except ValueError:
            split = urlsplit("")
        if split.scheme not in ("http", "https") or not split.hostname:
            raise UsageError(f"{url}: give the address of a server, such as http://127.0.0.1:8188")
        self._tls, self._host, self._prefix = split.scheme == "https", split.hostname, split.path
        self._busy = self._must_be_comfyui()

    def _must_be_comfyui(self) -> bool:
        """Whether prompts wait or run."""
        answer = self.ask("GET", "/prompt")
        if answer.status in (401, 407):
            raise UsageError(f"{self.url} wants credentials (status {answer.status})")
        try:
            return bool(answer.json["exec_info"]["queue_remaining"])
        except (TypeError, KeyError):
            raise UsageError(
                f"{self.url} is not a ComfyUI: GET /prompt answered {answer.status} without a "
                f"queue; give the address that ends where /prompt begins"
            ) from None

    @property
    def is_local(self) -> bool:
        """Whether the address is a loopback one."""
        if self._host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self._host).is_loopback
        except ValueError:
            return False

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own.

        Raises:
            UsageError: no answer.
        """
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=ANSWER_S)
        data = None if body is None else json.dumps(body).encode()
        sent = {} if data is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, f"{self._prefix}{path}", data, {**sent, **(headers or {})})
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise UsageError(
                f"{self.url}: no answer to {method} {path} ({reason(error)}); start that server, "
                f"or give another address"
            ) from None
        finally:
            connection.close()

    @cached_property
    def run(self) -> Run | None:
        """One small prompt, run twice: once as a client, once by nobody."""
        if self._busy:
            return None
        graph = {
            "1": {
                "class_type": "EmptyImage",
                "inputs": {
                    "width": 8,
                    "height": 8,
                    "batch_size": 1,
                    "color": secrets.randbelow(0x1000000),
                },
            },
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
        client, asked = f"comfyrec-{uuid.uuid4().hex}", str(uuid.uuid4())
        try:
            with connect(f"{self._ws}/ws?clientId={client}", open_timeout=ANSWER_S) as socket:
                socket.send(json.dumps({"type": "feature_flags", "data": {}}))
                told = {"client_id": client, "workflow_metadata": METADATA, "prompt_id": asked}
                prompt_id = self._submit(graph, **told)
                if prompt_id is None:
                    return None
                frames = _frames(socket, prompt_id)
        except (OSError, WebSocketException) as error:
            raise UsageError(f"{self.url}: no WebSocket at /ws: {error}") from None
        history = self._history(prompt_id)
        again_id = self._submit(graph)
        again = {} if again_id is None else self._history(again_id)
        return Run(prompt_id, asked, frames, history, again) if history else None

    @property
    def _ws(self) -> str:
        return self.url.replace("http", "ws", 1)

    def _submit(self, graph: Mapping[str, Any], **beside: Any) -> str | None:
        answer = self.ask("POST", "/prompt", {"prompt": graph, **beside})
        told = answer.json if answer.status == 200 else None
        prompt_id = told.get("prompt_id") if isinstance(told, dict) else None
        return prompt_id if isinstance(prompt_id, str) else None

    def _history(self, prompt_id: str) -> Mapping[str, Any]:
        """The entry of a prompt, once it is there; empty if it does not come."""
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end:
            told = self.ask("GET", f"/history/{prompt_id}").json
            if isinstance(told, dict) and isinstance(told.get(prompt_id), dict):
                entry: Mapping[str, Any] = told[prompt_id]
                return entry
            time.sleep(0.05)
        return {}


def _frames(socket: Any, prompt_id: str) -> list[Mapping[str, Any]]:
    """The text frames until the prompt has ended, or none comes any more."""
    frames: list[Mapping[str, Any]] = []
    end = time.monotonic() + RUN_S
    while (left := end - time.monotonic()) > 0:
        try:
            message = socket.recv(timeout=left)
        except TimeoutError:
            break
        frame = json.loads(message) if isinstance(message, str) else None
        if isinstance(frame, dict):
            frames.append(frame)
            if _ends(frame, prompt_id):
                break
    return frames


def _ends(frame: Mapping[str, Any], prompt_id: str) -> bool:
    """Whether it says that the prompt has left the executor; the oldest servers name no prompt."""
    data = frame.get("data")
    if frame.get("type") != "executing" or not isinstance(data, dict):
        return False
    return data.get("node") is None and data.get("prompt_id", prompt_id) == prompt_id
