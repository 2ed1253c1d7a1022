"""A ComfyUI that follows a script: the smallest server that a client can be wrong against.

A script is a function ``(server, prompt_id) -> iterable of steps``. Steps: a ``str`` or ``bytes``
message to the prompt's client, an ``int`` pause in virtual microseconds, or a callable that
changes the server. Routes can be overridden by method and path.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fake_server.source import (
    Abort,
    Accept,
    Action,
    Disconnected,
    HangUp,
    Happened,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    Source,
    UpgradeRequested,
    Wake,
)

GRAPH: dict[str, dict[str, Any]] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
PICTURE = {"filename": "x_00001_.png", "subfolder": "", "type": "output"}
OUTPUTS = {"2": {"images": [PICTURE]}}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)

Step = str | bytes | int | Callable[["Server"], object]
Script = Callable[["Server", str], Iterable[Step]]


def event(type: str, **data: Any) -> str:
    return json.dumps({"type": type, "data": data})


def status(n: int, **more: Any) -> str:
    return event("status", status={"exec_info": {"queue_remaining": n}}, **more)


def entry(
    prompt_id: str, *, outputs: dict[str, Any] | None = None, kind: str = "success", **error: Any
) -> dict[str, Any]:
    messages: list[list[Any]] = [["execution_start", {"prompt_id": prompt_id}]]
    terminal = {
        "success": ["execution_success", {"prompt_id": prompt_id}],
        "error": ["execution_error", {"prompt_id": prompt_id, **error}],
        "interrupted": ["execution_interrupted", {"prompt_id": prompt_id, **error}],
    }
    messages.append(terminal[kind])
    return {
        "prompt": [0, prompt_id, GRAPH, {}, ["2"]],
        "outputs": OUTPUTS if outputs is None else outputs,
        "status": {
            "status_str": "success" if kind == "success" else "error",
            "completed": kind == "success",
            "messages": messages,
        },
        "meta": {"2": {"node_id": "2"}},
    }


def finish(prompt_id: str, **how: Any) -> Callable[[Server], None]:
    """A step: the prompt leaves the queue and stands in the history."""

    def change(server: Server) -> None:
        server.running.pop(prompt_id, None)
        server.pending.pop(prompt_id, None)
        server.history[prompt_id] = entry(prompt_id, **how)

    return change


def begin(prompt_id: str) -> Callable[[Server], None]:
    """A step: from waiting to running."""

    def change(server: Server) -> None:
        server.running[prompt_id] = server.pending.pop(prompt_id)

    return change


def fresh(server: Server, prompt_id: str) -> Iterator[Step]:
    """An ordinary run of ``GRAPH``."""
    yield begin(prompt_id)
    yield event("execution_start", prompt_id=prompt_id, timestamp=1)
    yield event("execution_cached", nodes=[], prompt_id=prompt_id, timestamp=1)
    for node in GRAPH:
        yield event("executing", node=node, display_node=node, prompt_id=prompt_id)
    yield event("executed", node="2", display_node="2", output=OUTPUTS["2"], prompt_id=prompt_id)
    yield event("execution_success", prompt_id=prompt_id, timestamp=2)
    yield finish(prompt_id)
    yield status(0)
    yield event("executing", node=None, prompt_id=prompt_id)


def silent(server: Server, prompt_id: str) -> Iterator[Step]:
    """It runs and ends, and no frame says so."""
    yield finish(prompt_id)


class Server(Source):
    """The source."""

    def __init__(self, script: Script = fresh) -> None:
        self.script = script
        self.history: dict[str, Any] = {}
        self.pending: dict[str, float] = {}
        self.running: dict[str, float] = {}
        self.requests: list[Request] = []
        self.routes: dict[tuple[str, str], Callable[[Request], Response | HangUp | None]] = {}
        self.sockets: dict[int, str] = {}
        self.left = threading.Event()
        """A socket has gone."""
        self.greeting: list[str | bytes] = [status(0, sid="s")]
        self.refuse_sockets: Response | None = None
        self.files: dict[str, bytes] = {PICTURE["filename"]: PNG}
        self._number = 0
        self._plays: list[tuple[int, str, Iterator[Step]]] = []
        self._out: list[Action] = []

    def handle(self, happened: Happened, now: int) -> list[Action]:
        if isinstance(happened, UpgradeRequested):
            self._knocked(happened)
        elif isinstance(happened, RequestReceived):
            self._asked(happened, now)
        elif isinstance(happened, Disconnected):
            self.sockets.pop(happened.socket, None)
            self.left.set()
        self._play(now)
        out, self._out = self._out, []
        return out

    def _knocked(self, happened: UpgradeRequested) -> None:
        if self.refuse_sockets is not None:
            self._out.append(Respond(happened.socket, self.refuse_sockets))
            return
        self.sockets[happened.socket] = happened.request.target.partition("clientId=")[2]
        self._out.append(Accept(happened.socket))
        self._out += [Send((happened.socket,), message) for message in self.greeting]

    def _asked(self, happened: RequestReceived, now: int) -> None:
        request = happened.request
        path = request.target.partition("?")[0]
        self.requests.append(request)
        override = self.routes.get((request.method, path))
        answer = override(request) if override else None
        if isinstance(answer, HangUp):
            self._out.append(HangUp(happened.exchange, answer.answer, answer.first))
            return
        self._out.append(Respond(happened.exchange, answer or self._answer(request, path, now)))

    def _answer(self, request: Request, path: str, now: int) -> Response:
        if (request.method, path) == ("POST", "/prompt"):
            return self._accept(request, now)
        if path == "/queue" and request.method == "GET":
            rows = {
                "queue_running": [[n, p, {}, {}, []] for p, n in self.running.items()],
                "queue_pending": [[n, p, {}, {}, []] for p, n in self.pending.items()],
            }
            return answer(rows)
        if path.startswith("/history/"):
            prompt_id = path.rpartition("/")[2]
            found = self.history.get(prompt_id)
            return answer({prompt_id: found} if found else {})
        if path == "/view":
            return self._view(request)
        if path == "/queue":
            for prompt_id in json.loads(request.body).get("delete", []):
                self.pending.pop(prompt_id, None)
            return Response()
        if path == "/interrupt":
            return self._interrupt(json.loads(request.body)["prompt_id"])
        return Response(status=404)

    def _accept(self, request: Request, now: int) -> Response:
        body = json.loads(request.body)
        prompt_id = str(uuid.UUID(int=self._number + 1))
        self.pending[prompt_id] = self._number
        self._number += 1
        self._plays.append((now, body["client_id"], iter(self.script(self, prompt_id))))
        return answer({"prompt_id": prompt_id, "number": self._number - 1, "node_errors": {}})

    def _view(self, request: Request) -> Response:
        name = request.target.partition("filename=")[2].partition("&")[0]
        data = self.files.get(name)
        if data is None:
            return Response(status=404)
        return Response(headers=(("Content-Type", "image/png"),), body=data)

    def _interrupt(self, prompt_id: str) -> Response:
        if prompt_id in self.running:
            finish(prompt_id, kind="interrupted", node_id="1", node_type="EmptyImage")(self)
            said = event(
                "execution_interrupted",
                prompt_id=prompt_id,
                node_id="1",
                node_type="EmptyImage",
                executed=[],
            )
            self._out += [Send(tuple(self.sockets), said)]
            self._out += [
                Send(tuple(self.sockets), event("executing", node=None, prompt_id=prompt_id))
            ]
        return Response()

    def _play(self, now: int) -> None:
        waiting = []
        for at, client_id, steps in self._plays:
            at = self._step(at, client_id, steps, now) if at <= now else at
            if at is not None:
                waiting.append((at, client_id, steps))
                self._out.append(Wake(at))
        self._plays = waiting

    def _step(self, at: int, client_id: str, steps: Iterator[Step], now: int) -> int | None:
        for step in steps:
            if isinstance(step, int):
                return now + step
            if isinstance(step, str | bytes):
                to = tuple(s for s, owner in self.sockets.items() if owner == client_id)
                self._out.append(Send(to, step))
            else:
                step(self)
        return None

    def cut(self) -> None:
        """Cut every socket without a word."""
        self._out += [Abort(socket) for socket in self.sockets]
        self.sockets.clear()

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests of one route."""
        return [
            r for r in self.requests if r.method == method and r.target.partition("?")[0] == path
        ]


def answer(value: Any, http_status: int = 200) -> Response:
    return Response(
        status=http_status,
        headers=(("Content-Type", "application/json; charset=utf-8"),),
        body=json.dumps(value).encode(),
    )
