"""A running server, asked over the network."""

from __future__ import annotations

import http.client
import ipaddress
import json
import secrets
import time
import uuid
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from comfyrec.conform.interrupting import Interrupt, chain, interrupt
from comfyrec.conform.probes import METADATA, UNKNOWN_ID, Answer, Run
from comfyrec.errors import UsageError
from comfyrec.wording import reason

__all__ = ["LiveServer"]

ANSWER_S: Final = 15.0
"""Seconds that one answer may take."""
LOCKED: Final = (401, 403, 407)
"""Statuses by which a key is asked for."""
RUN_S: Final = 60.0
"""Seconds that the small prompt may take."""
# However much comes that nobody reads, the end of a socket is not waited for.
_SOCKET: Final[dict[str, Any]] = {
    "open_timeout": ANSWER_S, "close_timeout": 1.0, "max_queue": None, "max_size": None,
}  # fmt: skip
WAITING_S: Final = 0.2
"""Seconds without a frame after which another client has heard all that it will hear."""
SEVERAL: Final = 4
"""Prompts that are submitted at once."""
WAITING_PX: Final = 512
"""Width and height of the pictures of these, which take a moment."""


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
        if answer.status in LOCKED:
            raise UsageError(
                f"{self.url} wants credentials (status {answer.status}); give an address behind "
                "what asks for them"
            )
        try:
            busy = bool(answer.json["exec_info"]["queue_remaining"])
        except (TypeError, KeyError):
            raise UsageError(
                f"{self.url} is not a ComfyUI: GET /prompt answered {answer.status} without a "
                f"queue; give the address that ends where /prompt begins"
            ) from None
        refused = self.ask("POST", "/prompt", {}).status
        if refused in (*LOCKED, 405):
            raise UsageError(
                f"{self.url} refuses POST /prompt (status {refused}); give an address where "
                "prompts may be submitted"
            )
        return busy

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
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
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
        """One small prompt, run as a client and by nobody, a few at once, and one to interrupt."""
        if self._busy:
            return None
        graph, client, asked = _graph(), f"comfyrec-{uuid.uuid4().hex}", str(uuid.uuid4())
        try:
            with (
                connect(f"{self._ws}/ws?clientId={client}", **_SOCKET) as socket,
                connect(f"{self._ws}/ws?clientId={client}-2", **_SOCKET) as other,
            ):
                socket.send(json.dumps({"type": "feature_flags", "data": {}}))
                told = {"client_id": client, "workflow_metadata": METADATA, "prompt_id": asked}
                accepted = self._submit(graph, **told)
                if accepted is None:
                    return None
                prompt_id = accepted["prompt_id"]
                frames = _frames(socket, prompt_id)
                history = self._history(prompt_id)
                others = _waiting(other)
                again_id = self._submit(graph)
                again = {} if again_id is None else self._history(again_id["prompt_id"])
                once_more = self._submit(graph, client_id=client)
                repeated = [] if once_more is None else _frames(socket, once_more["prompt_id"])
                queued = self._several(socket, client)
                interrupted = self._interrupted(socket, client)
        except (OSError, WebSocketException) as error:
            raise UsageError(f"{self.url}: no WebSocket at /ws: {error}") from None
        if not history:
            return None
        return Run(
            prompt_id,
            asked,
            frames,
            history,
            again,
            client,
            accepted,
            others,
            repeated,
            queued,
            interrupted,
        )

    def _several(self, socket: Any, client: str) -> tuple[list[str], list[str]] | None:
        """Prompts that are submitted at once, and the order in which they start."""
        submitted: list[str] = []
        for _ in range(SEVERAL):
            accepted = self._submit(_graph(WAITING_PX), client_id=client)
            if accepted is None:
                return None
            submitted.append(accepted["prompt_id"])
        queue = self.ask("GET", "/queue").json
        waiting = queue.get("queue_pending") if isinstance(queue, dict) else None
        # Two that wait at the same time have an order; one alone has none.
        told = isinstance(waiting, list) and len(waiting) > 1
        left, order = set(submitted), []
        while left:
            frames = _frames(socket, *left)
            started = [one["data"]["prompt_id"] for one in frames if _starts(one)]
            order += [one for one in started if one in submitted]
            ended = {_ended(frame) for frame in frames} & left
            if not ended:
                break
            left -= ended
        return (submitted, order) if told and len(order) == len(submitted) else None

    def _interrupted(self, socket: Any, client: str) -> Interrupt | None:
        accepted = self._submit(chain(_color()), client_id=client)
        if accepted is None:
            return None
        return interrupt(_Talk(self, socket), accepted["prompt_id"], UNKNOWN_ID)

    @property
    def _ws(self) -> str:
        return self.url.replace("http", "ws", 1)

    def _submit(self, graph: Mapping[str, Any], **beside: Any) -> dict[str, Any] | None:
        """The answer, if it names a prompt."""
        answer = self.ask("POST", "/prompt", {"prompt": graph, **beside})
        told = answer.json if answer.status == 200 else None
        return told if isinstance(told, dict) and isinstance(told.get("prompt_id"), str) else None

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


class _Talk:
    """A server and a socket of it, for a chain that is interrupted."""

    def __init__(self, server: LiveServer, socket: Any) -> None:
        self._server, self._socket = server, socket
        self._end = time.monotonic() + RUN_S

    def interrupt(self, prompt_id: str) -> None:
        self._server.ask("POST", "/interrupt", {"prompt_id": prompt_id})

    def running(self) -> list[str]:
        queue = self._server.ask("GET", "/queue").json
        running = queue.get("queue_running") if isinstance(queue, dict) else None
        entries = running if isinstance(running, list) else []
        return [str(one[1]) if isinstance(one, list) and len(one) > 1 else "" for one in entries]

    def frame(self, *, wait: bool) -> Mapping[str, Any] | None:
        while (left := self._end - time.monotonic()) > 0:
            try:
                message = self._socket.recv(timeout=left if wait else 0)
            except TimeoutError:
                return None
            frame = _object(message)
            if frame is not None:
                return frame
        return None


def _color() -> int:
    return secrets.randbelow(1 << 24)


def _graph(side: int = 8) -> dict[str, Any]:
    """A picture and its preview, in a color that no other has."""
    inputs = {"width": side, "height": side, "batch_size": 1, "color": _color()}
    return {
        "1": {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def _frames(socket: Any, *prompt_ids: str) -> list[Mapping[str, Any]]:
    """The text frames until one of the prompts has ended, or none comes any more."""
    frames: list[Mapping[str, Any]] = []
    end = time.monotonic() + RUN_S
    while (left := end - time.monotonic()) > 0:
        try:
            message = socket.recv(timeout=left)
        except TimeoutError:
            break
        frame = _object(message)
        if frame is not None:
            frames.append(frame)
            if _ends(frame, prompt_ids):
                break
    return frames


def _waiting(socket: Any) -> list[Mapping[str, Any]]:
    """The text frames that have come by now."""
    frames: list[Mapping[str, Any]] = []
    while True:
        try:
            frame = _object(socket.recv(timeout=WAITING_S))
        except TimeoutError:
            return frames
        if frame is not None:
            frames.append(frame)


def _object(message: str | bytes) -> Mapping[str, Any] | None:
    try:
        frame = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None


def _starts(frame: Mapping[str, Any]) -> bool:
    return frame.get("type") == "execution_start" and "prompt_id" in frame.get("data", ())


def _ended(frame: Mapping[str, Any]) -> Any:
    """The prompt that has left the executor; None for another frame."""
    data = frame.get("data")
    if frame.get("type") != "executing" or not isinstance(data, dict):
        return None
    return data.get("prompt_id", "") if data.get("node") is None else None


def _ends(frame: Mapping[str, Any], prompt_ids: Collection[str]) -> bool:
    """Whether one of the prompts has left the executor; the oldest servers name none."""
    return _ended(frame) in ("", *prompt_ids)
