"""A player without a network: live clients by hand, virtual time, every action carried out."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord
from comfyrec.timeline import Timeline
from comfyrec.timeline.message_summary import peek_at
from fake_server.replay import Player
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    RealTimePassed,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    SendPing,
    Source,
    UpgradeRequested,
    WaitRealTime,
    Wake,
    Woke,
)

UPGRADE = (
    ("Host", "127.0.0.1:8188"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)
PLAIN = (("Host", "127.0.0.1:8188"),)


@cache
def records_of(name: str) -> tuple[AnyRecord, ...]:
    """The records of a bundled cassette."""
    with open_cassette(find_cassette(name)) as reader:
        return tuple(reader)


@cache
def timeline_of(name: str) -> Timeline:
    """The timeline of a bundled cassette."""
    return Timeline.build(records_of(name))


def graph_of(timeline: Timeline, prompt: int = 0) -> dict[str, Any]:
    """A recorded graph, to be submitted again."""
    return timeline.prompts[prompt].graph


class LiveSocket:
    """What a live client got on one socket."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages: list[str | bytes] = []
        self.times: list[int] = []
        self.accepted = False
        self.ended: Action | None = None
        self.pings: list[bytes] = []

    @property
    def texts(self) -> list[dict[str, Any]]:
        return [json.loads(m) for m in self.messages if isinstance(m, str)]

    @property
    def types(self) -> list[str]:
        return [
            peek_at(m).type if isinstance(m, str) else f"binary {int.from_bytes(m[:4], 'big')}"
            for m in self.messages
        ]

    @property
    def remaining(self) -> list[int]:
        peek = [peek_at(m).queue_remaining for m in self.messages if isinstance(m, str)]
        return [n for n in peek if n is not None]

    def about(self, prompt_id: str) -> list[str]:
        """The types of the frames about one prompt."""
        mine = (m for m in self.messages if isinstance(m, str))
        return [peek_at(m).type for m in mine if peek_at(m).prompt_id == prompt_id]


class SourceRig:
    """A source and its live clients."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.now = 0
        self.sockets: dict[int, LiveSocket] = {}
        self.answers: dict[int, Response | None] = {}
        self._wakes: list[int] = []
        self._lingers: list[WaitRealTime] = []
        self._numbers = 0

    # --- what clients do -----------------------------------------------------------------------

    def connect(
        self, client_id: str | None = None, headers: Iterable[tuple[str, str]] = UPGRADE
    ) -> LiveSocket:
        number = self._number()
        self.sockets[number] = LiveSocket(number)
        query = "" if client_id is None else f"?clientId={client_id}"
        self.feed(UpgradeRequested(number, Request("GET", f"/ws{query}", tuple(headers))))
        return self.sockets[number]

    def leave(self, socket: LiveSocket, code: int = 1000) -> None:
        self.feed(Disconnected(socket.number, code))

    def say(self, socket: LiveSocket, message: str | bytes | dict[str, Any]) -> None:
        said = json.dumps(message) if isinstance(message, dict) else message
        self.feed(MessageReceived(socket.number, said))

    def ask(
        self,
        method: str,
        target: str,
        body: Any = b"",
        *,
        headers: Iterable[tuple[str, str]] = PLAIN,
        peer: str = "",
    ) -> Response:
        answer = self.ask_or_hang_up(method, target, body, headers=headers, peer=peer)
        assert answer is not None, "the server hung up"
        return answer

    def ask_or_hang_up(
        self,
        method: str,
        target: str,
        body: Any = b"",
        *,
        headers: Iterable[tuple[str, str]] = PLAIN,
        peer: str = "",
    ) -> Response | None:
        number = self._number()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.feed(RequestReceived(number, Request(method, target, tuple(headers), data, peer)))
        return self.answers[number]

    def get(self, target: str, **more: Any) -> Any:
        return json.loads(self.ask("GET", target, **more).body)

    def post(self, graph: dict[str, Any], client_id: str | None = None, **more: Any) -> Response:
        body = {"prompt": graph, **({} if client_id is None else {"client_id": client_id}), **more}
        return self.ask("POST", "/prompt", body)

    def submit(self, graph: dict[str, Any], client_id: str | None = None, **more: Any) -> str:
        """The prompt id of what was accepted."""
        answer = self.post(graph, client_id, **more)
        assert answer.status == 200, answer.body
        prompt_id: str = json.loads(answer.body)["prompt_id"]
        return prompt_id

    # --- time ----------------------------------------------------------------------------------

    def run(self, until: int | None = None, *, patience: bool = True) -> None:
        """Let time pass: until then, or until nothing more happens."""
        while True:
            if self._wakes and (until is None or self._wakes[0] <= until):
                self.now = max(self.now, heapq.heappop(self._wakes))
                self.feed(Woke())
            elif self._lingers and patience and until is None:
                self.feed(RealTimePassed(self._lingers.pop(0).token))
            else:
                break
        self.now = max(self.now, until or 0)

    def run_to(self, socket: LiveSocket, kind: str, count: int = 1) -> None:
        """Let time pass until so many frames of a type have come."""
        while socket.types.count(kind) < count:
            assert self.step(), f"no {kind} comes: {socket.types}"

    def step(self, *, patience: bool = True) -> bool:
        """Let time pass until something may happen; False when nothing more will."""
        if self._wakes:
            self.now = max(self.now, heapq.heappop(self._wakes))
            self.feed(Woke())
        elif self._lingers and patience:
            self.feed(RealTimePassed(self._lingers.pop(0).token))
        else:
            return False
        return True

    @property
    def waits_for_a_client(self) -> bool:
        return bool(self._lingers)

    # --- inside --------------------------------------------------------------------------------

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def feed(self, happened: Happened) -> None:
        for action in self.source.handle(happened, self.now):
            self._carry(action)

    def _carry(self, action: Action) -> None:
        match action:
            case Send():
                for number in action.sockets:
                    self.sockets[number].messages.append(action.message)
                    self.sockets[number].times.append(self.now)
            case Accept():
                self.sockets[action.socket].accepted = True
            case Respond():
                self.answers[action.exchange] = action.answer
            case HangUp():
                self.answers[action.exchange] = None
            case Close() | Abort():
                self.sockets[action.socket].ended = action
            case SendPing():
                self.sockets[action.socket].pings.append(action.payload)
            case Wake():
                heapq.heappush(self._wakes, action.at)
            case WaitRealTime():
                self._lingers.append(action)
            case _:
                raise AssertionError(f"a player does not do this: {action!r}")


class Rig(SourceRig):
    """A player and its live clients."""

    def __init__(self, recording: str | Timeline, **options: Any) -> None:
        self.timeline = timeline_of(recording) if isinstance(recording, str) else recording
        self.player = Player(self.timeline, **options)
        super().__init__(self.player)
