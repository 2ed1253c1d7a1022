"""What stands in front of a server and lets it be asked in other ways: surfaces, and their front.

A surface is an API of its own, such as Comfy API v2. It answers the requests that it claims, and is
itself a client of the server behind it: it sends native requests, opens sockets, and reads frames.
So one engine with its plans, its time and its scenarios is behind all of them. ``Front`` is the
source that clients meet. It hands each request to the surface that claims it, and the rest to the
server, if that is to be met at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from itertools import count
from typing import Any, Final, TypeVar

import msgspec

from comfyrec.client.http.exchange import Conversation, HttpRequest, HttpResponse, with_query
from comfyrec.http.hint import HINT_HEADER
from comfyrec.http.routes import FIRST_SEGMENTS
from fake_server.options import EPOCH_MS
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
    SendPing,
    SendRaw,
    Source,
    UpgradeRequested,
    Wake,
    Woke,
    Wrapper,
)

__all__ = [
    "ANSWER_US",
    "Asking",
    "Door",
    "Front",
    "Surface",
    "client_response",
    "elsewhere",
    "native_request",
    "via",
]

FIRST_OWN: Final = 1 << 50
"""Exchanges and sockets of surfaces are numbered from here: beyond all that come from outside."""

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_OTHER_HOSTS: Final = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}

ANSWER_US: Final = 30_000_000
"""Virtual microseconds that the server has for an answer, as many gateways have it."""

_UPGRADE: Final = (
    ("Host", "127.0.0.1"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "Y29tZnlyZWMgc3VyZmFjZQ=="),
)

T = TypeVar("T")

Asking = Generator[Request, Response, T]
"""Yields what the server is asked, and is sent its answer."""


class _Question(msgspec.Struct, eq=False):
    work: Asking[Response | None]
    caller: int | None
    """The exchange that is answered in the end; None: nobody waits for that."""
    surface: Surface
    until: int


class Door:
    """What a surface can do: answer its clients, and use the server behind it.

    Nothing of it happens at once. What is told to the server is heard by it when the surface has
    said all that it had to say; its answers and frames come back as calls of the surface.

    Args:
        inner: the server.
        epoch_us: Unix time at virtual time 0, in microseconds.

    Attributes:
        now: virtual microseconds.
    """

    def __init__(self, inner: Source, epoch_us: int = EPOCH_MS * 1_000) -> None:
        self.now = 0
        self._epoch_us = epoch_us
        self._inner = inner
        self._actions: list[Action] = []
        self._inbox: deque[Happened] = deque()
        self._numbers = count(FIRST_OWN)
        self._questions: dict[int, _Question] = {}
        self._sockets: dict[int, Surface] = {}

    @property
    def unix_us(self) -> int:
        """The server's clock: Unix time in microseconds, for what clients read as a date."""
        return self._epoch_us + self.now

    # --- for surfaces ------------------------------------------------------------------------

    def do(self, action: Action) -> None:
        """Have something done, after what was said before."""
        self._actions.append(action)

    def forward(self, happened: Happened) -> None:
        """Tell the server what happened, under the number that it has outside."""
        self._inbox.append(happened)

    def ask(
        self, surface: Surface, work: Asking[Response | None], exchange: int | None = None
    ) -> None:
        """Do a piece of work that may ask the server.

        Args:
            exchange: is answered with what the work returns; None: nobody is.
        """
        self._go_on(_Question(work, exchange, surface, 0), None)

    def connect(self, surface: Surface, client_id: str) -> int:
        """Open a socket to the server; its messages come to ``surface.heard``."""
        socket = next(self._numbers)
        self._sockets[socket] = surface
        target = with_query("/ws", (("clientId", client_id),))
        self._inbox.append(UpgradeRequested(socket, Request("GET", target, _UPGRADE)))
        return socket

    def say(self, socket: int, message: str | bytes) -> None:
        """Send a message on a socket to the server."""
        self._inbox.append(MessageReceived(socket, message))

    def disconnect(self, socket: int) -> None:
        """Leave a socket to the server."""
        if self._sockets.pop(socket, None) is not None:
            self._inbox.append(Disconnected(socket, 1000))

    # --- for the front -----------------------------------------------------------------------

    def run(self, show: Callable[[Action], None]) -> list[Action]:
        """Let the server hear all that waits for it; gives what shall be done.

        Args:
            show: takes what the server says to clients from outside.
        """
        while self._inbox:
            for action in self._inner.handle(self._inbox.popleft(), self.now):
                self._take(action, show)
        actions, self._actions = self._actions, []
        return actions

    def give_up(self) -> None:
        """Answer questions for the server, which took too long."""
        for number in [n for n, one in self._questions.items() if self.now >= one.until]:
            self._inbox.append(RequestAborted(number))
            self._go_on(self._questions.pop(number), Response(504))

    def leave(self, exchange: int) -> None:
        """Whoever asked went away: the work goes on, and nobody is answered."""
        for question in self._questions.values():
            if question.caller == exchange:
                question.caller = None

    def _take(self, action: Action, show: Callable[[Action], None]) -> None:
        match action:
            case Respond() | HangUp() if action.exchange in self._questions:
                # What a gateway makes of a server that hangs up.
                got = action.answer if isinstance(action, Respond) else Response(502)
                self._go_on(self._questions.pop(action.exchange), got)
            case Respond() if action.exchange in self._sockets:
                self._sockets.pop(action.exchange).lost(action.exchange)
            case Send():
                self._sent(action, show)
            case Abort() | Close() if action.socket in self._sockets:
                self._inbox.append(Disconnected(action.socket))
                self._sockets.pop(action.socket).lost(action.socket)
            case Accept() if action.socket in self._sockets:
                self._sockets[action.socket].accepted(action.socket)
            case _:
                if not _is_own(action):
                    show(action)

    def _sent(self, action: Send, show: Callable[[Action], None]) -> None:
        outside = tuple(socket for socket in action.sockets if socket < FIRST_OWN)
        if outside or not action.sockets:
            show(action if len(outside) == len(action.sockets) else Send(outside, action.message))
        for socket in action.sockets:
            if socket in self._sockets:
                self._sockets[socket].heard(socket, action.message)

    def _go_on(self, question: _Question, answer: Response | None) -> None:
        work = question.work
        try:
            asked = next(work) if answer is None else work.send(answer)
        except StopIteration as end:
            result = end.value
        except Exception as error:
            result = question.surface.failed(error)
        else:
            number = next(self._numbers)
            question.until = self.now + ANSWER_US
            self._questions[number] = question
            self._inbox.append(RequestReceived(number, asked))
            self._actions.append(Wake(question.until))
            return
        if question.caller is not None and result is not None:
            self._actions.append(Respond(question.caller, result))


def elsewhere(origin: str) -> str:
    """The same machine under another name: another host to a client, which must not get its key."""
    scheme, mark, authority = origin.partition("://")
    name, colon, port = authority.rpartition(":")
    name, port = (name, port) if colon and port.isdigit() else (authority, "")
    return f"{scheme}{mark}{_OTHER_HOSTS.get(name, name)}{colon if port else ''}{port}"


def _is_own(action: Action) -> bool:
    if isinstance(action, SendPing | SendRaw | Close | Abort | Accept):
        return action.socket >= FIRST_OWN
    return getattr(action, "exchange", 0) >= FIRST_OWN


def via(conversation: Conversation[T]) -> Asking[T]:
    """A conversation of our own client, as the requests of a surface."""
    try:
        ask = next(conversation)
        while True:
            got = yield native_request(ask)
            ask = conversation.send(client_response(got))
    except StopIteration as end:
        result: T = end.value
        return result


def native_request(ask: HttpRequest) -> Request:
    """A request of our own client as the server sees it."""
    headers = (("Content-Type", ask.content_type),) if ask.content_type else ()
    return Request(
        method=ask.method,
        target=with_query(ask.path, ask.query),
        headers=(("Host", "127.0.0.1"), *headers),
        body=ask.body or b"",
    )


def client_response(got: Response) -> HttpResponse:
    """An answer of the server as our own client reads it."""
    fields = {name.lower(): value for name, value in got.headers}
    return HttpResponse(
        status=got.status,
        content_type=fields.get("content-type", ""),
        location=fields.get("location", ""),
        body=got.body,
    )


class Surface:
    """One API in front of a server. Override what it answers.

    Args:
        door: what it can do.
    """

    def __init__(self, door: Door) -> None:
        self.door = door

    def claims(self, request: Request) -> bool:
        """Whether this request, or upgrade, is one of this API's."""
        raise NotImplementedError

    def asked(self, exchange: int, request: Request) -> None:
        """A request that it claims has come; answer it now or later."""
        raise NotImplementedError

    def knocked(self, socket: int, request: Request) -> None:
        """An upgrade that it claims was asked for; the server decides."""
        self.door.forward(UpgradeRequested(socket, request))

    def aborted(self, exchange: int) -> None:
        """Whoever sent a claimed request went away before its answer had ended."""

    def accepted(self, socket: int) -> None:
        """A socket of its own to the server is open."""

    def heard(self, socket: int, message: str | bytes) -> None:
        """The server sent a message to a socket of its own."""

    def lost(self, socket: int) -> None:
        """A socket of its own has ended, or was refused."""

    def left(self, socket: int) -> None:
        """A client's socket has ended, this surface's or another's."""

    def shown(self, action: Action) -> Sequence[Action]:
        """What becomes of something that the server does to clients from outside."""
        return (action,)

    def woke(self) -> None:
        """Some time has passed."""

    def failed(self, error: Exception) -> Response:
        """The answer where a piece of work raised an exception; by default it is raised on."""
        raise error

    def facts(self) -> Mapping[str, Any]:
        """What ``GET /__fake__/`` shows of its state."""
        return {}

    def reset(self, parts: Collection[str]) -> None:
        """Forget what belongs to these parts of the state."""


class Front(Wrapper):
    """A server with surfaces in front of it.

    Args:
        inner: the server.
        make: give the surfaces, the one that is asked first at the head.
        native: whether requests that no surface claims go to the server; if not, there is nothing
            at their address.
        epoch_us: Unix time at virtual time 0, in microseconds.
    """

    def __init__(
        self,
        inner: Source,
        make: Sequence[Callable[[Door], Surface]],
        *,
        native: bool = True,
        epoch_us: int = EPOCH_MS * 1_000,
    ) -> None:
        super().__init__(inner)
        self._door = Door(inner, epoch_us)
        self.surfaces = tuple(one(self._door) for one in make)
        self._native = native
        self._asked: dict[int, Surface] = {}

    def handle(self, happened: Happened, now: int) -> Sequence[Action]:
        """Take what happened and say what shall happen, in order."""
        door = self._door
        door.now = now
        match happened:
            case RequestReceived():
                self._request(happened)
            case UpgradeRequested():
                self._upgrade(happened)
            case RequestAborted() if happened.exchange in self._asked:
                door.leave(happened.exchange)
                self._asked.pop(happened.exchange).aborted(happened.exchange)
                door.forward(happened)
            case Disconnected():
                for surface in self.surfaces:
                    surface.left(happened.socket)
                door.forward(happened)
            case Woke():
                door.forward(happened)
                self._show(door.run(self._shown))
                door.give_up()
                for surface in self.surfaces:
                    surface.woke()
            case _:
                door.forward(happened)
        return self._done(door.run(self._shown))

    def _request(self, received: RequestReceived) -> None:
        surface = self._claimed(received.request)
        if surface is not None:
            self._asked[received.exchange] = surface
            surface.asked(received.exchange, received.request)
        elif self._native:
            self._door.forward(received)
        else:
            self._door.do(Respond(received.exchange, _nothing_here(received.request)))

    def _upgrade(self, upgrade: UpgradeRequested) -> None:
        surface = self._claimed(upgrade.request)
        if surface is not None:
            surface.knocked(upgrade.socket, upgrade.request)
        elif self._native:
            self._door.forward(upgrade)
        else:
            self._door.do(Respond(upgrade.socket, _nothing_here(upgrade.request)))

    def _claimed(self, request: Request) -> Surface | None:
        return next((one for one in self.surfaces if one.claims(request)), None)

    def _shown(self, action: Action) -> None:
        """Let the surfaces see what the server does to clients, the nearest to it first."""
        actions: Sequence[Action] = (action,)
        for surface in reversed(self.surfaces):
            actions = [one for each in actions for one in surface.shown(each)]
        for one in actions:
            self._door.do(one)

    def _show(self, actions: Sequence[Action]) -> None:
        for one in actions:
            self._door.do(one)

    def _done(self, actions: list[Action]) -> Sequence[Action]:
        for action in actions:
            over = isinstance(action, HangUp)
            over = over or (isinstance(action, Respond) and not action.more)
            over = over or (isinstance(action, RespondMore) and action.last)
            if over and isinstance(action, Respond | RespondMore | HangUp):
                self._asked.pop(action.exchange, None)
        return actions

    def facts(self) -> Mapping[str, Any]:
        """The server's facts, and those of the surfaces."""
        facts = dict(self.inner.facts())
        for surface in self.surfaces:
            facts |= surface.facts()
        return facts

    def reset(self, parts: Collection[str]) -> None:
        """Reset server and surfaces.

        Raises:
            UsageError: the server cannot forget one of the parts by itself.
        """
        self.inner.reset(parts)
        for surface in self.surfaces:
            surface.reset(parts)


def _nothing_here(request: Request) -> Response:
    """Where no surface is. A client of ComfyUI's own API is told how to be understood when it asks
    for something to be done: questions may be those by which it finds out who is there."""
    own = request.parts.first_segment in FIRST_SEGMENTS and request.method not in SAFE_METHODS
    hint = (
        f"{request.method} {request.parts.path} is of ComfyUI's own API, which is not served: "
        "start with --surface native as well"
    )
    # As aiohttp has it: it must not look like the answer of an API that is not there.
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Response(404, (kind, (HINT_HEADER, hint)) if own else (kind,), b"404: Not Found")
