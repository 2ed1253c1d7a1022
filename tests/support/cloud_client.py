"""A Cloud surface without a network: what one asks of it, and what its sockets hear."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    Happened,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Wake,
    Woke,
)
from fake_server.surfaces.cloud import CloudSettings

KEY = "a-key-of-mine"
HOST = ("Host", "127.0.0.1:8188")
SECONDS = 0.2
"""What a picture takes."""


def graph(number: int = 0) -> dict[str, Any]:
    """A prompt that no other number's is cached for."""
    size = {"width": 8, "height": 8, "batch_size": 1, "color": number}
    save = {"images": ["1", 0], "filename_prefix": "cloud"}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "9": {"class_type": "SaveImage", "inputs": save},
    }


GRAPH = graph()


class CloudRig:
    """One server with the surface; time stands still until ``rest``."""

    def __init__(self, scenario: str = "success", **settings: Any) -> None:
        chosen = (SurfaceChoice("cloud", CloudSettings(**settings)),)
        plans = {"EmptyImage": {"seconds": SECONDS}}
        options = ServerOptions(surfaces=chosen, class_plans=plans)
        self.source = scenario_source([choose(scenario)], options)
        self.now = 0
        self._wakes: list[int] = []
        self._numbers = self._submitted = 0
        self.answers: dict[int, Response] = {}
        self.heard: dict[int, list[str | bytes]] = {}
        self.ended: list[int] = []
        self.log: list[Action] = []

    def happen(self, happened: Happened) -> None:
        """Tell the server."""
        for action in self.source.handle(happened, self.now):
            self.log.append(action)
            match action:
                case Respond():
                    self.answers[action.exchange] = action.answer
                case Accept():
                    self.heard[action.socket] = []
                case Send():
                    for socket in action.sockets:
                        self.heard[socket].append(action.message)
                case Abort() | Close():
                    self.ended.append(action.socket)
                case Wake():
                    self._wakes.append(action.at)

    def rest(self, until: int | None = None) -> None:
        """Let time pass until nothing more happens (or the moment, in microseconds)."""
        while self._wakes and (until is None or min(self._wakes) <= until):
            self.now = max(self.now, min(self._wakes))
            self._wakes = [at for at in self._wakes if at > self.now]
            self.happen(Woke())

    def number(self) -> int:
        """A fresh number of an exchange or socket."""
        self._numbers += 1
        return self._numbers

    def ask(
        self,
        target: str,
        body: Any = None,
        *,
        method: str | None = None,
        key: str = KEY,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Ask with a key, and wait for the answer."""
        number = self.number()
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        keys = (("X-API-Key", key),) if key else ()
        given = (HOST, *keys, *headers)
        method = method or ("GET" if body is None else "POST")
        request = Request(method, target, given, b"" if body is None else sent)
        self.happen(RequestReceived(number, request))
        return self.answers.pop(number)

    def json(self, target: str, body: Any = None, *, key: str = KEY) -> Any:
        """The body of a good answer."""
        answer = self.ask(target, body, key=key)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def submit(
        self, prompt: Mapping[str, Any] | None = None, *, key: str = KEY, **more: Any
    ) -> str:
        """Submit a prompt, by default another one each time; its id."""
        self._submitted += 1
        body = {"prompt": prompt or graph(self._submitted), **more}
        return str(self.json("/api/prompt", body, key=key)["prompt_id"])

    def connect(self, *, token: str = KEY, client_id: str = "mine") -> int:
        """Ask for a socket."""
        number = self.number()
        target = f"/ws?clientId={client_id}" + (f"&token={token}" if token else "")
        self.happen(UpgradeRequested(number, Request("GET", target, (HOST,))))
        return number

    def leave(self, socket: int) -> None:
        """Close a socket."""
        self.happen(Disconnected(socket, 1000))

    def events(self, socket: int) -> list[dict[str, Any]]:
        """The text frames that a socket heard."""
        return [json.loads(one) for one in self.heard[socket] if isinstance(one, str)]

    def types(self, socket: int) -> list[str]:
        """Their types, but for ``status`` and progress."""
        aside = ("status", "progress", "progress_state")
        return [one["type"] for one in self.events(socket) if one["type"] not in aside]
