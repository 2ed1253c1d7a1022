"""What a client did, for a test to look at: requests whole, prompts, uploads, sockets.

The witness is the outermost wrapper of a source and changes nothing. It is bounded: the oldest
requests are dropped first, and only the first part of a body is kept, unless it is a prompt.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.http.hint import HINT_HEADER, HINTED
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Send,
    Source,
    UpgradeRequested,
    Wrapper,
)

if TYPE_CHECKING:
    from comfyrec.timeline import Exchange, Socket, Timeline
    from comfyrec.timeline.model import RecordedPrompt

__all__ = ["Seen", "SeenPrompt", "SeenRequest", "SeenSocket", "Witness", "seen_in"]

REQUESTS_MAX: Final = 5_000
FRAMES_MAX: Final = 20_000
FRAMES_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of all frames; the oldest are forgotten first, as in the journal."""
REQUESTS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of the bodies of all requests and answers; the oldest requests are forgotten first."""
PARSED: Final = 10
"""How much more room a graph takes than its JSON."""
RECEIVED_MAX: Final = 5_000
"""Messages of one socket; the first ones are kept."""
BODY_MAX: Final = 1024 * 1024
"""Of one request; a prompt is kept whole up to 16 times that."""

STORED_KEPT: Final = 16 * 1024
"""Of a body that stands in a file since it would fill the memory."""


class SeenRequest(msgspec.Struct, eq=False):
    """One request and, once it has left, its answer. ``t`` is virtual microseconds."""

    t: int
    serial: int
    method: str
    path: str
    """Decoded, without query and without the ``/api`` prefix."""
    decoded_query: Mapping[str, tuple[str, ...]]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None = None
    answer: bytes = b""

    @property
    def query(self) -> dict[str, list[str]]:
        """Each name of the query with all its values, decoded."""
        return {name: list(values) for name, values in self.decoded_query.items()}

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status if self.status is not None else '...'}"


class SeenPrompt(msgspec.Struct, eq=False, dict=True):
    """A ``POST /prompt`` that was accepted."""

    request: SeenRequest
    prompt_id: str
    client_id: str | None
    read: Callable[[], Mapping[str, Any]]
    """Gives the JSON body that was posted. Thousands of prompts are kept and few looked at, and a
    parsed graph takes ten times the room of its text."""

    @property
    def graph(self) -> dict[str, Any]:
        """The workflow in API format, as it was posted."""
        graph: dict[str, Any] = self._posted["prompt"]
        return graph

    @property
    def extra_data(self) -> dict[str, Any]:
        """As it was posted; empty when there was none."""
        extra: dict[str, Any] = self._posted.get("extra_data") or {}
        return extra

    @cached_property
    def _posted(self) -> Mapping[str, Any]:
        return self.read()


class SeenSocket(msgspec.Struct, eq=False):
    """A WebSocket connection. ``closed_t`` is None while it is open."""

    number: int
    opened_t: int
    serial: int
    client_id: str | None
    headers: tuple[tuple[str, str], ...]
    accepted: bool = False
    closed_t: int | None = None
    received: list[str | bytes] = []
    """The client's messages."""

    @property
    def open(self) -> bool:
        """Whether it was accepted and has not ended."""
        return self.accepted and self.closed_t is None


class Seen(NamedTuple):
    """What a test saw until now."""

    requests: list[SeenRequest]
    prompts: list[SeenPrompt]
    sockets: list[SeenSocket]
    frames: list[tuple[int, int, str | bytes]]


class Witness(Wrapper):
    """Notes what passes a source; see the module's docstring.

    Args:
        inner: what behaves.
        prefix: path in front of the server's own, which is left out of ``SeenRequest.path``.
    """

    def __init__(self, inner: Source, *, prefix: str = "") -> None:
        super().__init__(inner)
        self._prefix = prefix.rstrip("/")
        self.requests: deque[SeenRequest] = deque(maxlen=REQUESTS_MAX)
        self.prompts: deque[SeenPrompt] = deque(maxlen=REQUESTS_MAX)
        self.sockets: deque[SeenSocket] = deque(maxlen=REQUESTS_MAX)
        self.frames: deque[tuple[int, int, str | bytes]] = deque(maxlen=FRAMES_MAX)
        """(virtual microseconds, socket, message), one for each socket that a message went to."""
        self.hints: dict[str, None] = {}
        """What refusals said beside ComfyUI's own text, each once."""
        self._open: dict[int, tuple[SeenRequest, Request]] = {}
        self._going_on: dict[int, SeenRequest] = {}
        """Answers that come in pieces."""
        self._by_number: dict[int, SeenSocket] = {}
        self._serial = self._frame_bytes = self._body_bytes = 0
        self._answered: deque[SeenRequest] = deque()

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Pass on inputs and actions, and note them."""
        self._happened(happened, now)
        for action in self.inner.handle(happened, now):
            self._acted(action, now)
            yield action

    def watched(self, actions: Iterable[Action], now: int) -> Iterator[Action]:
        """Note actions that a test has caused, not the source."""
        for action in actions:
            self._acted(action, now)
            yield action

    def seen(self) -> Seen:
        """All that was seen until now; to be called on the server's thread."""
        return Seen(list(self.requests), list(self.prompts), list(self.sockets), list(self.frames))

    def go_on_from(self, earlier: Witness) -> None:
        """Take over what an earlier witness of the same server has seen."""
        self.requests, self.prompts = earlier.requests, earlier.prompts
        self.sockets, self.frames = earlier.sockets, earlier.frames
        self._serial, self.hints = earlier._serial, earlier.hints
        self._frame_bytes, self._body_bytes = earlier._frame_bytes, earlier._body_bytes
        self._answered = earlier._answered

    def forget(self) -> None:
        """Forget what was seen; requests that wait for their answer and open sockets stay."""
        waiting = [seen for seen, _ in self._open.values()]
        for kept in (self.requests, self.prompts, self.frames):
            kept.clear()
        self._frame_bytes = self._body_bytes = 0
        self._answered.clear()
        self.requests.extend(waiting)
        still = [socket for socket in self.sockets if socket.open]
        self.sockets.clear()
        self.sockets.extend(still)

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _happened(self, happened: Happened, now: int) -> None:
        if isinstance(happened, RequestReceived):
            seen = self._seen(happened.request, now)
            self.requests.append(seen)
            self._open[happened.exchange] = seen, happened.request
        elif isinstance(happened, UpgradeRequested):
            request = happened.request
            socket = SeenSocket(
                happened.socket,
                now,
                self._next(),
                request.client_id or None,
                request.headers,
                received=[],
            )
            self.sockets.append(socket)
            self._by_number[happened.socket] = socket
        elif isinstance(happened, RequestAborted):
            self._ended_answer(happened.exchange)
        elif isinstance(happened, MessageReceived):
            received = self._by_number[happened.socket].received
            if len(received) < RECEIVED_MAX:
                received.append(happened.message)
        elif isinstance(happened, Disconnected):
            self._ended(happened.socket, now)
            self._by_number.pop(happened.socket, None)

    def _seen(self, request: Request, now: int) -> SeenRequest:
        parts = (request.below(self._prefix) or request).parts
        kept = BODY_MAX * (16 if parts.path == "/prompt" else 1)
        kept = kept if request.stored is None else STORED_KEPT
        return SeenRequest(
            now, self._next(), request.method, parts.path, parts.query, request.headers,
            request.body_start(kept),
        )  # fmt: skip

    def _acted(self, action: Action, now: int) -> None:
        if isinstance(action, Send):
            self._sent(action, now)
        elif isinstance(action, Respond):
            if action.answer.status in HINTED:
                hints = [value for name, value in action.answer.headers if name == HINT_HEADER]
                self.hints |= dict.fromkeys(hints)
            seen, request = self._open.pop(action.exchange, (None, None))
            if seen is not None and request is not None:
                self._note_answer(seen, request, action.answer)
                if action.more:
                    self._going_on[action.exchange] = seen
                else:
                    self._count_bodies(seen)
        elif isinstance(action, RespondMore):
            begun = self._going_on.get(action.exchange)
            if begun is not None and len(begun.answer) < BODY_MAX:
                begun.answer = (begun.answer + action.data)[:BODY_MAX]
            if action.last:
                self._ended_answer(action.exchange)
        elif isinstance(action, HangUp):
            self._ended_answer(action.exchange)
        elif isinstance(action, Accept):
            if action.socket in self._by_number:
                self._by_number[action.socket].accepted = True
        elif isinstance(action, (Close, Abort)):
            self._ended(action.socket, now)

    def _sent(self, send: Send, now: int) -> None:
        size = len(send.message)
        for socket in send.sockets:
            if len(self.frames) >= FRAMES_MAX:
                self._frame_bytes -= len(self.frames.popleft()[2])
            self.frames.append((now, socket, send.message))
            self._frame_bytes += size
        while self._frame_bytes > FRAMES_BYTES_MAX and self.frames:
            self._frame_bytes -= len(self.frames.popleft()[2])

    def _ended_answer(self, exchange: int) -> None:
        seen = self._going_on.pop(exchange, None)
        if seen is not None:
            self._count_bodies(seen)

    def _count_bodies(self, seen: SeenRequest) -> None:
        """Count the bodies of an exchange that was answered; forget the oldest of too many."""
        self._answered.append(seen)
        self._body_bytes += _room_of(seen)
        while self._body_bytes > REQUESTS_BYTES_MAX or len(self._answered) > REQUESTS_MAX:
            oldest = self._answered.popleft()
            self._body_bytes -= _room_of(oldest)
            # It is the first or near it, unless more requests than are kept came after it.
            with contextlib.suppress(ValueError):
                self.requests.remove(oldest)
            if self.prompts and self.prompts[0].request is oldest:
                self.prompts.popleft()

    def _ended(self, number: int, now: int) -> None:
        socket = self._by_number.get(number)
        if socket is not None and socket.closed_t is None:
            socket.closed_t = now

    def _note_answer(self, seen: SeenRequest, request: Request, answer: Response) -> None:
        seen.status = answer.status
        stored = answer.stored
        seen.answer = answer.body[:BODY_MAX] if stored is None else stored.read(0, STORED_KEPT)
        if (seen.method, seen.path, seen.status) != ("POST", "/prompt", 200):
            return
        try:
            body, said = request.read_json(), json.loads(answer.body)
            extra = body.get("extra_data") or {}
            client_id = body.get("client_id") or extra.get("client_id")
            # A copy, without what others will have read of it by then.
            bare = msgspec.structs.replace(request)
            if "prompt" in body:
                read = bare.read_json
                self.prompts.append(SeenPrompt(seen, said["prompt_id"], client_id, read))
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            # A scenario may answer 200 with anything; then there is no prompt to speak of.
            return


def _room_of(seen: SeenRequest) -> int:
    """Bytes that the bodies of an exchange take, as if its graph had been looked at."""
    return len(seen.body) * (PARSED if seen.path == "/prompt" else 1) + len(seen.answer)


# --- the same of a recording ---------------------------------------------------------------------


def seen_in(timeline: Timeline) -> Seen:
    """What a recording shows of its client; times are microseconds since it began."""
    start = timeline.t
    requests = {
        exchange.number: _recorded_request(exchange, start)
        for exchange in timeline.exchanges
        if exchange.status != 101 and exchange.request.start
    }
    prompts = [
        SeenPrompt(
            requests[prompt.submitted],
            prompt.prompt_id,
            prompt.client_id,
            partial(_recorded_body, prompt),
        )
        for prompt in timeline.prompts
        if prompt.submitted in requests
    ]
    sockets = [_recorded_socket(socket, start) for socket in timeline.sockets]
    frames = sorted(_recorded_frames(timeline), key=lambda frame: frame[0])
    return Seen(list(requests.values()), prompts, sockets, [frame[1:] for frame in frames])


def _recorded_body(prompt: RecordedPrompt) -> Mapping[str, Any]:
    return {"prompt": prompt.graph, "extra_data": prompt.extra_data}


def _recorded_request(exchange: Exchange, start: int) -> SeenRequest:
    asked, answer = exchange.asked, exchange.response
    stored = answer.stored if answer is not None else None
    return SeenRequest(
        t=exchange.request.t - start,
        serial=exchange.request.at,
        method=exchange.method,
        path=exchange.path,
        decoded_query=asked.query,
        headers=exchange.request.headers,
        body=asked.body if asked.stored is None else asked.body_start(STORED_KEPT),
        status=exchange.status,
        answer=exchange.response_body if stored is None else stored.read(0, STORED_KEPT),
    )


def _recorded_socket(socket: Socket, start: int) -> SeenSocket:
    closing = socket.closing
    return SeenSocket(
        number=socket.number,
        opened_t=socket.upgrade.request.t - start,
        serial=socket.upgrade.request.at,
        client_id=socket.client_id,
        headers=socket.upgrade.request.headers,
        accepted=True,
        closed_t=None if closing is None else closing.t - start,
        received=[message.data for message in socket.messages if message.side is Side.CLIENT],
    )


def _recorded_frames(timeline: Timeline) -> Iterator[tuple[int, int, int, str | bytes]]:
    """(place, microseconds, socket, message) of what the clients got."""
    for socket in timeline.sockets:
        for message in socket.received:
            yield message.at, message.t - timeline.t, socket.number, message.data
