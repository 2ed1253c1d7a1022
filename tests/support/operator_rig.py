"""Operators on a small source of their own: what goes in, what comes out, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fake_server.scenarios.kit import (
    HISTORY,
    Operator,
    Stage,
    dump,
    posts,
)
from fake_server.source import (
    Accept,
    Action,
    Happened,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    Source,
    UpgradeRequested,
    Wake,
    Woke,
)

START = dump("execution_start", {"prompt_id": "p", "timestamp": 1})
NODE = dump("executing", {"node": "9", "display_node": "9", "prompt_id": "p"})
EXECUTED = dump("executed", {"node": "9", "output": {"images": [{"filename": "a.png"}]}, "prompt_id": "p"})  # fmt: skip  # noqa: E501
SUCCESS = dump("execution_success", {"prompt_id": "p", "timestamp": 2})
NULL = dump("executing", {"node": None, "prompt_id": "p"})
STATUS = dump("status", {"status": {"exec_info": {"queue_remaining": 0}}})
RUN = [START, NODE, EXECUTED, SUCCESS, STATUS, NULL]
ENTRY = {"outputs": {"9": {"images": [{"filename": "a.png"}]}}, "status": {"status_str": "success"}}


class ToySource(Source):
    """A source of few words: accepts every socket, runs the one prompt a step each 10 ms."""

    def __init__(self) -> None:
        self.socket, self.left, self.over = 0, list(RUN), False

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        match happened:
            case UpgradeRequested():
                self.socket = happened.socket
                yield Accept(happened.socket)
                yield Send((happened.socket,), STATUS)
            case RequestReceived() if posts(happened.request):
                yield Respond(
                    happened.exchange, Response(200, body=b'{"prompt_id": "p", "number": 1}')
                )
                yield Wake(now + 10_000)
            case RequestReceived():
                yield Respond(happened.exchange, Response(200, body=self.answer(happened.request)))
            case MessageReceived():
                yield Send((happened.socket,), str(happened.message))
            case Woke():
                yield from self.step(now)

    def step(self, now: int) -> Iterator[Action]:
        message = self.left.pop(0)
        self.over = self.over or message == SUCCESS
        yield Send((self.socket,), message)
        if self.left:
            yield Wake(now + 10_000)

    def answer(self, request: Request) -> bytes:
        if HISTORY(request):
            return json.dumps({"p": ENTRY} if self.over else {}).encode()
        return b'{"queue_running": [], "queue_pending": []}'

    def facts(self) -> Mapping[str, Any]:
        return {"left": len(self.left)}


UPGRADE = UpgradeRequested(1, Request("GET", "/ws?clientId=me"))
POST = RequestReceived(
    2, Request("POST", "/prompt", body=b'{"prompt": {"9": {}}, "client_id": "me"}')
)
ASK = RequestReceived(3, Request("GET", "/history/p"))


class OperatorRig:
    """A stage over the toy source, with what came out of it."""

    def __init__(self, *operators: Operator, waits_for_socket: bool = False) -> None:
        self.stage = Stage(ToySource, operators, seed=5, waits_for_socket=waits_for_socket)
        self.now = 0
        self.out: list[tuple[int, Action]] = []
        self.wakes: list[int] = []

    def feed(self, *happened: Happened) -> list[Action]:
        fresh = []
        for one in happened:
            for action in self.stage.handle(one, self.now):
                if isinstance(action, Wake):
                    self.wakes.append(action.at)
                else:
                    fresh.append(action)
        self.out += [(self.now, action) for action in fresh]
        return fresh

    def run(self) -> OperatorRig:
        """Let time go on to the end."""
        while self.wakes:
            self.now = max(self.now, self.wakes.pop(self.wakes.index(min(self.wakes))))
            self.feed(Woke())
        return self

    @property
    def sent(self) -> list[str | bytes]:
        return [action.message for _, action in self.out if isinstance(action, Send)]

    def times(self, message: str) -> list[int]:
        return [at for at, a in self.out if isinstance(a, Send) and a.message == message]

    def kinds(self) -> list[type]:
        return [type(action) for _, action in self.out]


def played(*operators: Operator) -> OperatorRig:
    """A whole run of the toy source under operators."""
    rig = OperatorRig(*operators)
    rig.feed(UPGRADE, POST)
    return rig.run()
