"""A source, made into an HTTP and WebSocket server: feed it, act, wait.

aiohttp reads requests, negotiates upgrades and reads WebSocket messages, as it does for ComfyUI;
most plain requests are read without it (``fast_path``, which can be left out of this module without
a change in what clients see). Answers are written in ``http_response``, messages in
``websocket_out``.

Numbers of exchanges and sockets are drawn from one row.
"""

from __future__ import annotations

import asyncio
import itertools
import socket as sockets
import ssl
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from comfyrec.errors import ComfyrecError
from comfyrec.wire.frames import PING, PONG, frame
from fake_server.http.responses import server_error
from fake_server.server.answers import (
    answer_begun,
    answer_goes_on,
    answer_stored,
    answer_whole,
    hang_up,
)
from fake_server.server.clock import Clock
from fake_server.server.exchange import Exchange, SocketExchange
from fake_server.server.fast_path import FastConnection, abort_all, connection_factory
from fake_server.server.http_request import (
    body_of,
    request_of,
    stored_body_of,
    unmet_expectation,
    without_protocols,
)
from fake_server.server.http_response import AlreadyWritten, in_words
from fake_server.server.journal import Journal
from fake_server.server.listeners import Listeners, Port
from fake_server.server.websocket_handshake import upgraded
from fake_server.server.websocket_out import OUTGOING_MAX, WebSocketOut
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Disconnected,
    Freeze,
    HangUp,
    Happened,
    Listen,
    MessageReceived,
    RealTimePassed,
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
    WaitRealTime,
    Wake,
    Woke,
)

__all__ = ["BODY_LIMIT", "CONTROL_PATH", "Control", "Server"]

Control = Callable[[Request], Response | Coroutine[Any, Any, Response]]
"""Answers a request below ``CONTROL_PATH``, at once or after a while."""

BODY_LIMIT: Final = 100 * 1024 * 1024
"""ComfyUI's ``--max-upload-size`` when the option is not given (protocol.md section 6)."""
CONTROL_PATH: Final = "/__fake__"


class Server:
    """One listening port and the source that it serves. All methods belong to the loop's thread.

    Args:
        source: what the server does.
        loop, listeners: where it lives.
        speed: of virtual time; see ``Clock``.
        body_limit: read no more of a request's body than this and one byte.
        control: answers requests below ``/__fake__``; None: they go to the source as well.
        outgoing_max: bytes that may wait for one client.
        tls: with it the server speaks TLS.

    Attributes:
        failure: the first exception that the source raised other than our own errors.
    """

    def __init__(
        self,
        source: Source,
        *,
        loop: asyncio.AbstractEventLoop,
        listeners: Listeners,
        speed: float = 1.0,
        body_limit: int = BODY_LIMIT,
        control: Control | None = None,
        outgoing_max: int = OUTGOING_MAX,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.source = source
        self._sockets: dict[int, SocketExchange] = {}
        self._out = WebSocketOut(self._sockets, loop=loop, outgoing_max=outgoing_max)
        self.clock = Clock(loop, self._ring, speed=speed, settle=self._out.settle)
        self.journal = Journal()
        self.body_limit = body_limit
        self.control = control
        self.failure: Exception | None = None
        self._loop = loop
        self._exchanges: dict[int, Exchange] = {}
        self._numbers = itertools.count(1)
        self._answering: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._lingering = 0
        self._web = web.Server(
            self._handle,
            handler_cancellation=True,
            loop=loop,
            access_log=None,
            tcp_keepalive=False,
        )
        self._fast: set[FastConnection] = set()
        connections = connection_factory(
            self._take, self._aborted, otherwise=self._web, connections=self._fast, loop=loop
        )
        self.port = Port(listeners, connections, loop=loop, tls=tls)

    # --- start and stop --------------------------------------------------------------------------

    def start(self, sock: sockets.socket) -> None:
        """Take connections on a listening socket. Other threads may call it, too, once.

        Raises:
            RuntimeError: the loop is closed.
        """
        self.port.open(sock)

    async def stop(self) -> None:
        """Cut all connections and free the port; nothing is left running."""
        self._stopped = True
        self.clock.close()
        await self.port.stop()
        for controlling in self._answering:
            controlling.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        self.cut_connections()
        # Each round lets the lost connections run the ends of their handlers.
        while self._web.connections or self._fast:  # noqa: ASYNC110  a turn of the loop, not a wait
            await asyncio.sleep(0)
        self._out.stop()

    def replace(self, source: Source) -> None:
        """Put another source in place, at time 0: as if started anew, on the same port."""
        self.cut_all()
        self.source = source
        self.clock.forget()
        self._sockets.clear()
        self._exchanges.clear()

    def cut_all(self) -> None:
        """Cut all sockets and all requests that wait for their answer."""
        for exchange in [*self._exchanges.values(), *self._sockets.values()]:
            exchange.cut()

    def cut_connections(self) -> None:
        """Cut all connections, those that wait for nothing as well."""
        abort_all(self._fast)
        for connection in self._web.connections:
            if connection.transport is not None:
                connection.transport.abort()

    # --- in --------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Virtual microseconds since the start or the last ``replace``."""
        return self.clock.now()

    @property
    def has_more_to_say(self) -> bool:
        """Whether something is due, without anything from outside."""
        return self.clock.next_moment is not None or self._lingering > 0

    @property
    def waited_for(self) -> bool:
        """Whether a client has a socket open, or a request without its answer."""
        return bool(self._sockets or self._exchanges)

    def feed(self, happened: Happened) -> None:
        """Tell the source what happened and do what it says."""
        if self._stopped:
            return
        self.clock.catch_up()
        now = self.clock.now()
        self.journal.happened(happened, now)
        try:
            self.carry(self.source.handle(happened, now), now)
            self.clock.stood_still_since(now)
        except ComfyrecError:
            raise
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _ring(self, moment: int) -> None:
        try:
            self.carry(self.source.handle(Woke(), moment), moment)
        except Exception as error:
            self.failure = self.failure or error
            raise

    # --- out -------------------------------------------------------------------------------------

    def carry(self, actions: Iterable[Action], now: int | None = None) -> None:
        """Do what a source says, in its order; ``now`` is when it said so, by default this moment.

        Messages are collected by socket; anything else flushes them first.
        """
        now = self.clock.now() if now is None else now
        try:
            for action in actions:
                kind = type(action)
                if kind is Send:
                    self.journal.sent(action, now)  # type: ignore[arg-type]  # just looked at
                    self._out.send(action)  # type: ignore[arg-type]  # likewise
                elif kind is Wake:
                    self.clock.ring_at(action.at)  # type: ignore[union-attr]  # likewise
                else:
                    self._out.flush()
                    self._act(action, now)
        finally:
            self._out.flush()

    def _act(self, action: Action, now: int) -> None:
        self.journal.acted(action, now)
        match action:
            case Respond():
                if action.more:
                    self._begin(action)
                else:
                    self._reply(action.exchange, action.answer)
            case RespondMore():
                self._go_on(action)
            case HangUp():
                self._hang_up(action)
            case WaitRealTime():
                self._linger(action)
            case Listen():
                self.port.listen(action.accept)
            case Accept():
                if (knocking := self._sockets.get(action.socket)) is not None:
                    knocking.accept = action
                    knocking.finish()
            case SendPing() | Close() | Abort() | SendRaw() | Freeze():
                self._on_socket(action.socket, action)
            case _:
                raise AssertionError(f"no such action: {action!r}")

    def _linger(self, action: WaitRealTime) -> None:
        source = self.source

        def lingered() -> None:
            self._lingering -= 1
            if self.source is source:
                self.feed(RealTimePassed(action.token))

        self._lingering += 1
        self._loop.call_later(action.real_us / 1_000_000, lingered)

    def _on_socket(self, number: int, action: Action) -> None:
        socket = self._sockets.get(number)
        if socket is None:
            return
        if not socket.open and not isinstance(action, Abort):
            socket.hold(action)
            return
        match action:
            case SendPing():
                self._out.write(socket, frame(PONG if action.pong else PING, action.payload))
            case SendRaw():
                self._out.write(socket, action.data)
            case Close():
                self._out.close(socket, action)
            case Freeze():
                socket.frozen = True
                socket.transport.pause_reading()
            case Abort():
                socket.cut()

    # --- requests --------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        number = next(self._numbers)
        if request.headers.get("Upgrade", "").strip().lower() == "websocket":
            plain = without_protocols(request)
            if web.WebSocketResponse().can_prepare(plain):
                return await self._socket(number, request, plain)
        exchange = Exchange(request, number)
        if (unmet := unmet_expectation(request)) is not None:
            answer_whole(exchange, unmet)
            return AlreadyWritten(exchange.stays)
        asked = await self._read(request)
        if self.control is not None and asked.parts.raw_path.startswith(CONTROL_PATH):
            # Not among the exchanges: a reset cuts those.
            self._control(exchange, self.control(asked))
            await exchange.wait()
        else:
            await self._ask(exchange, asked)
        if request.protocol.writing_paused:
            await request.writer.drain()
        return AlreadyWritten(exchange.stays)

    async def _read(self, request: web.BaseRequest) -> Request:
        if self.source.takes_stored and request.body_exists:
            stored = await stored_body_of(request, self.body_limit)
            if stored is not None:
                return request_of(request, stored=stored)
        return request_of(request, await body_of(request, self.body_limit))

    async def _ask(self, exchange: Exchange, asked: Request) -> None:
        number = exchange.number
        self._exchanges[number] = exchange
        try:
            try:
                self.feed(RequestReceived(number, asked))
            except ComfyrecError as error:
                self._reply(number, in_words(error))
            await exchange.wait()
        except asyncio.CancelledError:
            if self._exchanges.get(number) is exchange:
                self.feed(RequestAborted(number))
            raise
        finally:
            self._exchanges.pop(number, None)

    def _take(self, exchange: Exchange, asked: Request) -> None:
        """A request that was read on the fast path."""
        number = exchange.number = next(self._numbers)
        if len(asked.body) > self.body_limit:
            asked = msgspec.structs.replace(asked, body=asked.body[: self.body_limit + 1])
        try:
            if self.control is not None and asked.parts.raw_path.startswith(CONTROL_PATH):
                # Not among the exchanges: a reset cuts those.
                self._control(exchange, self.control(asked))
            else:
                self._exchanges[number] = exchange
                self.feed(RequestReceived(number, asked))
            return
        except ComfyrecError as error:
            answer = in_words(error)
        except Exception as error:
            # As aiohttp does it; whoever closes the server is told of the error, too.
            aiohttp.log.server_logger.exception("Error handling request", exc_info=error)
            answer = server_error()
        self._exchanges.pop(number, None)
        answer_whole(exchange, answer)

    def _control(
        self, exchange: Exchange, answer: Response | Coroutine[Any, Any, Response]
    ) -> None:
        if isinstance(answer, Response):
            answer_whole(exchange, answer)
            return
        waiting = self._loop.create_task(self._answer_later(exchange, answer))
        self._answering.add(waiting)
        waiting.add_done_callback(self._answering.discard)

    async def _answer_later(
        self, exchange: Exchange, answer: Coroutine[Any, Any, Response]
    ) -> None:
        try:
            told = await answer
        except Exception as error:
            aiohttp.log.server_logger.exception("Error handling request", exc_info=error)
            told = server_error()
        answer_whole(exchange, told)

    def _aborted(self, exchange: Exchange) -> None:
        if self._exchanges.pop(exchange.number, None) is not None:
            self.feed(RequestAborted(exchange.number))

    def _reply(self, number: int, answer: Response) -> None:
        exchange = self._exchanges.pop(number, None) or self._sockets.pop(number, None)
        if exchange is None:
            return
        if answer.stored is None:
            answer_whole(exchange, answer)
        else:
            sending = self._loop.create_task(answer_stored(exchange, answer, answer.stored))
            self._answering.add(sending)
            sending.add_done_callback(self._answering.discard)

    def _begin(self, action: Respond) -> None:
        exchange = self._exchanges.get(action.exchange)
        if exchange is not None and not answer_begun(exchange, action):
            del self._exchanges[action.exchange]

    def _go_on(self, action: RespondMore) -> None:
        exchange = self._exchanges.get(action.exchange)
        if exchange is None or not exchange.begun:
            return
        if action.last:
            del self._exchanges[action.exchange]
        answer_goes_on(exchange, action, outgoing_max=self._out.outgoing_max)

    def _hang_up(self, action: HangUp) -> None:
        exchange = self._exchanges.pop(action.exchange, None)
        exchange = exchange or self._sockets.get(action.exchange)
        if exchange is not None:
            hang_up(exchange, action)

    # --- the life of a socket --------------------------------------------------------------------

    async def _socket(
        self, number: int, request: web.BaseRequest, plain: web.BaseRequest
    ) -> web.StreamResponse:
        asked = request_of(request)
        socket = SocketExchange(plain, number, asked)
        self._sockets[number] = socket
        code = 1006
        try:
            try:
                self.feed(UpgradeRequested(number, asked))
            except ComfyrecError as error:
                self._reply(number, in_words(error))
            await socket.wait()
            if socket.accept is None:
                return AlreadyWritten(socket.stays)
            code = await self._talk(number, socket, socket.accept)
        finally:
            self._gone(number, socket, code)
        return AlreadyWritten(False)

    async def _talk(self, number: int, socket: SocketExchange, accept: Accept) -> int:
        ws = await upgraded(socket, accept)
        socket.open = True
        held, socket.held = socket.held, []
        self._replay(number, held)
        return await self._listen_to(number, socket, ws)

    def _replay(self, number: int, held: list[Action]) -> None:
        for action in held:
            if isinstance(action, Send):
                self._out.send(action)
            else:
                self._out.flush()
                self._on_socket(number, action)
        self._out.flush()

    async def _listen_to(
        self, number: int, socket: SocketExchange, ws: web.WebSocketResponse
    ) -> int:
        while True:
            message = await ws.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                self.feed(MessageReceived(number, message.data))
            elif message.type is aiohttp.WSMsgType.CLOSE:
                if not socket.closing:
                    socket.closing = True
                    await ws.close(drain=False)
                # aiohttp reads a close frame without a code as 0.
                return int(message.data or 1005)
            else:
                return 1006

    def _gone(self, number: int, socket: SocketExchange, code: int) -> None:
        socket.open = False
        self._out.gone(socket)
        if self._sockets.get(number) is socket:
            del self._sockets[number]
            self.feed(Disconnected(number, code))

    # --- for the control plane -------------------------------------------------------------------

    def open_sockets(self) -> dict[int, Request]:
        """Number and handshake of each socket that is open."""
        return {number: s.handshake for number, s in self._sockets.items() if s.open}

    def drop(self, number: int, code: int | None = None, reason: str = "") -> bool:
        """Close a socket with a code, or cut it without one; False when there is no such socket."""
        if number not in self._sockets:
            return False
        self.carry([Abort(number) if code is None else Close(number, code, reason)])
        return True
