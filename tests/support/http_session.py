"""A session over HTTP without sockets: written down by hand, and a live client of its replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Session, Side
from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.source import (
    Action,
    HangUp,
    RealTimePassed,
    Request,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    WaitRealTime,
    Wake,
    Woke,
)

__all__ = ["RECORDER", "SECOND", "UPSTREAM", "Live", "Recording"]

RECORDER, UPSTREAM = "127.0.0.1:8189", "gpu-box:8188"
SECOND = 1_000_000


class Recording:
    """Writes down exchanges, each on a connection of its own."""

    def __init__(self) -> None:
        self.records: list[AnyRecord] = [Session(0, 1, upstream=f"http://{UPSTREAM}")]
        self._conn = 0

    def _put(self, t: int, side: Side, head: bytes, body: bytes, *, last: bool, conn: int) -> None:
        self.records.append(HttpPart(len(self.records), t, conn, side, 0, head, body, last=last))

    def asks(self, t: int, line: str, body: Any = None, **fields: str) -> int:
        self._conn += 1
        told = {"Host": RECORDER, **{n.replace("_", "-"): v for n, v in fields.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{line} HTTP/1.1\r\n{lines}\r\n".encode()
        self._put(t, Side.CLIENT, head, data, last=True, conn=self._conn)
        return self._conn

    def answers(self, conn: int, t: int, body: Any, status: int = 200, **fields: str) -> None:
        told = {"Content-Type": "application/json", **fields}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        head = f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()
        self._put(t, Side.SERVER, head, json.dumps(body).encode(), last=True, conn=conn)

    def streams(self, conn: int, t: int) -> None:
        fields = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
        self._put(t, Side.SERVER, head, b"", last=False, conn=conn)

    def says(self, conn: int, t: int, data: bytes, *, last: bool = False) -> None:
        self._put(t, Side.SERVER, b"", data, last=last, conn=conn)

    def cuts(self, conn: int, t: int, side: Side) -> None:
        self.records.append(Closed(len(self.records), t, conn, side))

    @property
    def timeline(self) -> Timeline:
        return Timeline.build(self.records)


class Live:
    """A live client of a player: what came, and when."""

    def __init__(self, timeline: Timeline, host: str = "localhost:9000", **options: Any) -> None:
        self.player, self.host = Player(timeline, **options), host
        self.now, self.number = 0, 0
        self.answers: dict[int, Response] = {}
        self.pieces: dict[int, list[tuple[int, bytes]]] = {}
        self.ended: dict[int, tuple[int, str]] = {}
        self.wakes: list[int] = []
        self.waits: list[WaitRealTime] = []

    def ask(
        self, method: str, path: str, body: Any = None, *, secure: bool = False, **fields: str
    ) -> int:
        self.number += 1
        headers = [("Host", self.host), *((n.replace("_", "-"), v) for n, v in fields.items())]
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, tuple(headers), data, secure=secure)
        self.feed(RequestReceived(self.number, request))
        return self.number

    def json(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return json.loads(self.answers[self.ask(method, path, body, **more)].body)

    def feed(self, happened: Any) -> None:
        for action in self.player.handle(happened, self.now):
            self._carry(action)

    def _carry(self, action: Action) -> None:
        match action:
            case Respond():
                self.answers[action.exchange] = action.answer
                if action.more:
                    self.pieces[action.exchange] = []
                else:
                    self.ended[action.exchange] = self.now, "whole"
            case RespondMore():
                if action.data:
                    self.pieces[action.exchange].append((self.now, action.data))
                if action.last:
                    self.ended[action.exchange] = self.now, "whole"
            case HangUp():
                self.ended[action.exchange] = self.now, "cut"
            case Wake():
                self.wakes.append(action.at)
            case WaitRealTime():
                self.waits.append(action)

    def run(self, until: int = 60 * SECOND) -> None:
        while due := sorted(at for at in self.wakes if at <= until):
            self.wakes.remove(due[0])
            self.now = max(self.now, due[0])
            self.feed(Woke())
        self.now = max(self.now, until)

    def lose_patience(self) -> None:
        for wait in self.waits[:]:
            self.waits.remove(wait)
            self.feed(RealTimePassed(wait.token))

    def events(self, exchange: int) -> Iterator[tuple[int, Any]]:
        for t, data in self.pieces[exchange]:
            for line in data.splitlines():
                if line.startswith(b"data: "):
                    yield t, json.loads(line[6:])

    def times(self, exchange: int) -> list[tuple[float, int]]:
        return [(t / SECOND, said["n"]) for t, said in self.events(exchange)]

    def submitted(self, **fields: str) -> str:
        told: str = self.json("POST", "/api/v2/jobs", {"workflow": {}}, **fields)["id"]
        return told
