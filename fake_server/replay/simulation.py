"""Prompts that no recorded one is like, run as a server with the recorded classes would run them.

The engine behind it has the recording's generation, node classes and models, and its nodes take as
long as they took when recorded. It has the sockets of the live clients; what it answers is marked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.events.endings import prompt_ending
from comfyrec.events.outputs import all_files_in
from comfyrec.http.request import loads_or_none
from comfyrec.timeline.message_summary import data_of, peek_at
from fake_server.options import ServerOptions
from fake_server.replay.live.uploads import viewed_file
from fake_server.replay.rewrite_response import SYNTHESIZED
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import (
    Action,
    Disconnected,
    Happened,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Woke,
)

__all__ = ["Simulation"]

MARKED: Final = (SYNTHESIZED, "simulated")
_NAMES_MAX: Final = 10_000


class Simulation:
    """Runs prompts for one player. Nothing is made before the first one comes.

    Args:
        options: gives those of the server behind it.
        seconds: gives, for each node class, how long it runs.
    """

    def __init__(
        self, options: Callable[[], ServerOptions], seconds: Callable[[], Mapping[str, float]]
    ) -> None:
        self._options, self._seconds = options, seconds
        self._server: SimulatedServer | None = None
        self._sockets: dict[int, tuple[Request, list[str | bytes]]] = {}
        self._uploads: list[Request] = []
        self._names: dict[str, None] = {}
        self._running: dict[str, None] = {}

    # --- what clients do ------------------------------------------------------------------------

    def heard(self, happened: Happened, now: int) -> Iterator[Action]:
        """What happened, for the engine to know of; what it says of its own prompts."""
        match happened:
            case UpgradeRequested():
                self._sockets[happened.socket] = happened.request, []
            case MessageReceived() if happened.socket in self._sockets:
                self._sockets[happened.socket][1].append(happened.message)
            case Disconnected():
                self._sockets.pop(happened.socket, None)
        if self._server is None:
            return
        if isinstance(happened, Woke):
            yield from self._passed_on(self._server.handle(happened, now))
        elif not isinstance(happened, RequestReceived):
            # The play-through greets, and answers flags.
            _ended(self._server.handle(happened, now))

    def refused(self, socket: int) -> None:
        """An upgrade was refused."""
        self._sockets.pop(socket, None)

    def uploaded(self, request: Request, now: int) -> None:
        """A file was uploaded: a prompt that is simulated may load it."""
        if self._server is not None:
            _ended(self._server.handle(RequestReceived(-1, request.in_memory()), now))
        elif sum(len(one.body) for one in self._uploads) < _UPLOADS_BYTES_MAX:
            self._uploads.append(request)

    def submit(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        """A POST /prompt that no recorded prompt is like."""
        server = self._started(now)
        for action in self._passed_on(server.handle(RequestReceived(exchange, request), now)):
            if isinstance(action, Respond):
                answer = loads_or_none(action.answer.body) if action.answer.status == 200 else None
                if isinstance(answer, dict) and isinstance(answer.get("prompt_id"), str):
                    self._note(answer["prompt_id"])
                    self._running[answer["prompt_id"]] = None
            yield action

    def _started(self, now: int) -> SimulatedServer:
        if self._server is None:
            classes = {name: {"seconds": took} for name, took in self._seconds().items()}
            plans = NodePlans(classes=classes, lifelike=True)
            self._server = SimulatedServer(self._options(), plan_for=always(plans))
            for socket, (request, messages) in self._sockets.items():
                _ended(self._server.handle(UpgradeRequested(socket, request), now))
                for message in messages:
                    _ended(self._server.handle(MessageReceived(socket, message), now))
            for upload in self._uploads:
                _ended(self._server.handle(RequestReceived(-1, upload.in_memory()), now))
            self._uploads.clear()
        return self._server

    # --- what it knows --------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether one of its prompts is queued or runs."""
        return bool(self._running)

    def owns(self, request: Request) -> bool:
        """Whether a request names one of its prompts or files."""
        if not self._names:
            return False
        file = viewed_file(request)
        if file is not None:
            return f"file {file.type}/{file.subfolder}/{file.filename}" in self._names
        words = [*request.parts.segments, *(value for _, value in request.parts.pairs)]
        if any(word in self._names for word in words):
            return True
        return request.method == "POST" and any(
            name.encode() in request.body for name in self._names if "/" not in name
        )

    def answer(self, exchange: int, request: Request, now: int) -> Iterator[Action]:
        """A request about one of its prompts."""
        assert self._server is not None, "it has prompts only once it was started"
        yield from self._passed_on(
            self._server.handle(RequestReceived(exchange, request.in_memory()), now)
        )

    def joined(self, request: Request, answer: Response, now: int) -> Response:
        """The play-through's answer about queue or history, with its own prompts as well."""
        if self._server is None or not self._names:
            return answer
        ours = next(
            (
                action.answer
                for action in self._server.handle(RequestReceived(-1, request), now)
                if isinstance(action, Respond)
            ),
            None,
        )
        one, other = (
            loads_or_none(answer.body),
            loads_or_none(ours.body) if ours is not None else None,
        )
        if not isinstance(one, dict) or not isinstance(other, dict):
            return answer
        together = {name: _together(one.get(name), value) for name, value in other.items()}
        body = json.dumps({**one, **together}).encode()
        return Response(answer.status, (*answer.headers, MARKED), body)

    # --- what it says ---------------------------------------------------------------------------

    def _passed_on(self, actions: Iterable[Action]) -> Iterator[Action]:
        for action in actions:
            if isinstance(action, Respond):
                answer = action.answer
                marked = msgspec.structs.replace(answer, headers=(*answer.headers, MARKED))
                yield Respond(action.exchange, marked)
            elif isinstance(action, Send):
                self._listen(action.message)
                yield action
            else:
                yield action

    def _listen(self, message: str | bytes) -> None:
        peek = peek_at(message) if isinstance(message, str) else None
        if peek is None or peek.prompt_id is None:
            return
        ends = prompt_ending(peek.type, lambda: data_of(message))
        if (peek.type == "executing" and peek.null_node) or ends:
            self._running.pop(peek.prompt_id, None)
        elif peek.type == "executed":
            data = (loads_or_none(message) or {}).get("data") or {}
            for file in all_files_in({"": data.get("output")}):
                self._note(f"file {file.type}/{file.subfolder}/{file.filename}")

    def _note(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > _NAMES_MAX:
            del self._names[next(iter(self._names))]


_UPLOADS_BYTES_MAX: Final = 64 * 1024 * 1024


def _ended(actions: Iterable[Action]) -> None:
    """Let it happen, without anybody being told."""
    for _ in actions:
        pass


def _together(one: Any, other: Any) -> Any:
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _together(one.get(name), value) for name, value in other.items()}
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return other
