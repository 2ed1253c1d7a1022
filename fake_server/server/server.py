"""A source, made into an HTTP and WebSocket server: feed it, act, wait.

aiohttp reads requests, negotiates upgrades and reads WebSocket messages, as it does for ComfyUI;
only plain requests are read without it (``front``).
What is sent is framed here, once for all sockets that get it, and written at once: so what a source
wants done is done in its order, and a client that stops reading holds up nobody.

Numbers of exchanges and sockets are drawn from one row.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import itertools
import re
import socket as sockets
import ssl
import struct
import sys
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from comfyrec.errors import ComfyrecError
from fake_server.http.responses import server_error
from fake_server.server.clock import Clock, date_field
from fake_server.server.fast_path.connection import Front, PlainRequest
from fake_server.server.journal import Journal
from fake_server.server.listeners import Listeners, listening
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

__all__ = ["BODY_LIMIT", "CONTROL_PATH", "OUTGOING_MAX", "Server", "message_frame", "rendered"]

BODY_LIMIT: Final = 100 * 1024 * 1024
"""ComfyUI's ``--max-upload-size`` when the option is not given (PROTOCOL.md section 6)."""
OUTGOING_MAX: Final = 64 * 1024 * 1024
"""Bytes that wait for one client that does not read; beyond, its connection is cut."""
STALLED_S: Final = 1.0
"""At speed max, virtual time waits this long for a client that does not read, then goes on."""
CLOSING_S: Final = 10.0
"""How long a close frame may stay unanswered, as with aiohttp."""
CONTROL_PATH: Final = "/__fake__"
_SERVER: Final = f"Python/{sys.version_info[0]}.{sys.version_info[1]} aiohttp/{aiohttp.__version__}"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_TOGETHER_MAX: Final = 64
"""Messages in one write; they are no bigger than progress, so this is some 100 kB."""
_ALONE_FROM: Final = 16_384
"""A message of this size, a preview, is not worth the copy that joining costs."""
_ENDS_A_LINE: Final = re.compile(r"[\r\n\0]")
_CHUNKED: Final = "transfer-encoding: chunked\r\n"
_GUESSED: Final = "content-type: application/octet-stream\r\n"
_CONTROLS_HELD: Final = 1_000
"""Actions for a socket whose upgrade is on its way; the greeting is one or two."""


class _Written(web.StreamResponse):
    """Tells aiohttp that the answer has left already."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None

    @property
    def keep_alive(self) -> bool:
        return self._stays


class _Exchange:
    """A request that waits for its answer; a knocking socket is one until it is let in."""

    def __init__(self, request: web.BaseRequest | PlainRequest) -> None:
        self.request = request
        self.over = False
        self.stays = False
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        if not self.over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def finish(self) -> None:
        self.over = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _PlainExchange(_Exchange):
    """One whose request was read by a front."""

    def __init__(self, request: PlainRequest, front: Front) -> None:
        super().__init__(request)
        self._front = front

    def finish(self) -> None:
        self.over = True
        self._front.answered(stays=self.stays)


class _Socket(_Exchange):
    """A WebSocket connection, from its knock on."""

    request: web.BaseRequest

    def __init__(self, request: web.BaseRequest, asked: Request) -> None:
        super().__init__(request)
        self.asked = asked
        self.accept: Accept | None = None
        self.held: list[Action] = []
        self.open = self.closing = self.frozen = self.stalled = False
        self.deflate = 0
        self.protocol = request.protocol
        self.transport = _transport(request)
        self.draining: asyncio.Task[None] | None = None
        self.giving_up: asyncio.TimerHandle | None = None


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    return transport


class Server:
    """One listening port with one source behind it. All methods belong to the loop's thread.

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
        control: Callable[[Request], Response] | None = None,
        outgoing_max: int = OUTGOING_MAX,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.source = source
        self.clock = Clock(loop, self._ring, speed=speed, settle=self._settle)
        self.journal = Journal()
        self.body_limit, self.outgoing_max = body_limit, outgoing_max
        self.control = control
        self._tls = tls
        self.failure: Exception | None = None
        self.host, self.port = "", 0
        self._loop = loop
        self._exchanges: dict[int, _Exchange] = {}
        self._sockets: dict[int, _Socket] = {}
        self._full: set[_Socket] = set()
        self._numbers = itertools.count(1)
        self._deflaters: dict[int, Any] = {}
        self._collected: dict[_Socket, list[bytes]] = {}
        self._listeners = listeners
        self._listener: sockets.socket | None = None
        self._connecting: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self._web = web.Server(
            self._handle,
            handler_cancellation=True,
            loop=loop,
            access_log=None,
            tcp_keepalive=False,
        )
        self._fronts: set[Front] = set()

    # --- start and stop --------------------------------------------------------------------------

    def start(self, sock: sockets.socket) -> None:
        """Take connections on a listening socket. Other threads may call it, too, once.

        Raises:
            RuntimeError: the loop is closed.
        """
        self.host, self.port = sock.getsockname()[:2]
        self._listener = sock
        self._listeners.open(sock, self._accepted)

    async def stop(self) -> None:
        """Cut all connections and free the port; nothing is left running behind it."""
        self._stopped = True
        self.clock.close()
        self._stop_listening()
        if self._connecting:
            await asyncio.sleep(0)  # so that each has begun, and closes its socket when it ends
            for connecting in self._connecting:
                connecting.cancel()
            await asyncio.gather(*self._connecting, return_exceptions=True)
        connections: list[Front | web.RequestHandler] = [*self._fronts, *self._web.connections]
        for connection in connections:
            if connection.transport is not None:
                connection.transport.abort()
        # Each round lets the lost connections run the ends of their handlers.
        while self._web.connections or self._fronts:  # noqa: ASYNC110  a turn of the loop, not a wait
            await asyncio.sleep(0)
        for drain in [s.draining for s in self._full if s.draining is not None]:
            drain.cancel()
        self._full.clear()

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
            self._cut(exchange)

    # --- in --------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Virtual microseconds since the start or the last ``replace``."""
        return self.clock.now()

    def feed(self, happened: Happened) -> None:
        """Tell the source what happened and do what it says."""
        if self._stopped:
            return
        self.clock.catch_up()
        now = self.clock.now()
        self.journal.happened(happened, now)
        try:
            self.carry(self.source.handle(happened, now), now)
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
        """Do what a source says, in its order; ``now`` is when it said so, if not just now.

        Strategy: messages that follow each other are collected by socket and leave in one write;
        most of what a message costs is the call into the system. Anything else flushes them first.
        """
        now = self.clock.now() if now is None else now
        try:
            for action in actions:
                kind = type(action)
                if kind is Send:
                    self.journal.sent(action, now)  # type: ignore[arg-type]  # just looked at
                    self._send(action)  # type: ignore[arg-type]  # likewise
                elif kind is Wake:
                    self.clock.ring_at(action.at)  # type: ignore[union-attr]  # likewise
                else:
                    self._flush()
                    self._act(action, now)
        finally:
            self._flush()

    def _flush(self) -> None:
        if self._collected:
            collected, self._collected = self._collected, {}
            for socket, frames in collected.items():
                self._write(socket, frames[0] if len(frames) == 1 else b"".join(frames))

    def _act(self, action: Action, now: int) -> None:
        self.journal.acted(action, now)
        match action:
            case Respond():
                self._reply(action.exchange, action.answer)
            case HangUp():
                self._hang_up(action)
            case WaitRealTime():
                self._linger(action)
            case Listen():
                self._listen(action.accept)
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
            if self.source is source:
                self.feed(RealTimePassed(action.token))

        self._loop.call_later(action.real_us / 1_000_000, lingered)

    def _on_socket(self, number: int, action: Action) -> None:
        socket = self._sockets.get(number)
        if socket is None:
            return
        if not socket.open and not isinstance(action, Abort):
            self._hold(socket, action)
            return
        match action:
            case SendPing():
                self._write(socket, frame(_PONG if action.pong else _PING, action.payload))
            case SendRaw():
                self._write(socket, action.data)
            case Close():
                self._close(socket, action)
            case Freeze():
                socket.frozen = True
                socket.transport.pause_reading()
            case Abort():
                self._cut(socket)

    def _hold(self, socket: _Socket, action: Action) -> None:
        if len(socket.held) < _CONTROLS_HELD:
            socket.held.append(action)

    # --- sockets ---------------------------------------------------------------------------------

    def _send(self, action: Send) -> None:
        message = action.message
        plain: bytes | None = None
        squeezed: dict[int, bytes] = {}
        for number in action.sockets:
            socket = self._sockets.get(number)
            if socket is None or socket.closing:
                continue
            if not socket.open:
                self._hold(socket, Send((number,), message))
                continue
            if socket.deflate:
                data = squeezed.get(socket.deflate)
                if data is None:
                    data = squeezed[socket.deflate] = self._deflated(message, socket.deflate)
            else:
                if plain is None:
                    plain = message_frame(message)
                data = plain
            frames = self._collected.get(socket)
            if frames is None:
                self._collected[socket] = [data]
            elif len(frames) < _TOGETHER_MAX and len(data) < _ALONE_FROM:
                frames.append(data)
            else:
                self._collected[socket] = []
                self._write(socket, b"".join((*frames, data)))

    def _write(self, socket: _Socket, data: bytes) -> None:
        transport = socket.transport
        if socket.frozen or not data or transport.is_closing():
            return
        transport.write(data)
        if socket.protocol.writing_paused:
            self._full.add(socket)
            if transport.get_write_buffer_size() > self.outgoing_max:
                transport.abort()

    def _deflated(self, message: str | bytes, bits: int) -> bytes:
        """A compressed frame that stands for itself, so that all sockets can share it.

        RFC 7692 lets a sender forget its window whenever it likes; a full flush does.
        """
        deflater = self._deflaters.get(bits)
        if deflater is None:
            deflater = self._deflaters[bits] = zlib.compressobj(wbits=-bits)
        opcode, payload = _taken_apart(message)
        data = deflater.compress(payload) + deflater.flush(zlib.Z_FULL_FLUSH)
        return frame(opcode, data.removesuffix(b"\x00\x00\xff\xff"), 0x40)

    def _close(self, socket: _Socket, close: Close) -> None:
        if socket.closing:
            return
        code = b"" if close.code is None else struct.pack("!H", close.code)
        self._write(socket, frame(_CLOSE, code + close.reason.encode()))
        socket.closing = True
        socket.giving_up = self._loop.call_later(CLOSING_S, socket.transport.abort)

    def _cut(self, exchange: _Exchange) -> None:
        if exchange.request.transport is not None:
            exchange.request.transport.abort()

    def _settle(self) -> Coroutine[Any, Any, None] | None:
        """What virtual time has to wait for at speed max: clients that have not read yet."""
        if not self._full:
            return None
        self._full = {s for s in self._full if s.open and s.protocol.writing_paused}
        waited_for = [s for s in self._full if not s.stalled and not s.frozen]
        return self._drained(waited_for) if waited_for else None

    async def _drained(self, waited_for: list[_Socket]) -> None:
        drains = []
        for socket in waited_for:
            if socket.draining is None:
                socket.draining = self._loop.create_task(_drain(socket))
            drains.append(socket.draining)
        _, pending = await asyncio.wait(drains, timeout=STALLED_S)
        for socket in waited_for:
            socket.stalled = socket.draining in pending

    # --- listening -------------------------------------------------------------------------------

    def _listen(self, accept: bool) -> None:
        if accept and self._listener is None:
            self.start(listening(self.host, self.port))
        elif not accept:
            self._stop_listening()

    def _stop_listening(self) -> None:
        """Free the port."""
        if self._listener is not None:
            self._listeners.close(self._listener)
            self._listener = None

    def _accepted(self, connection: sockets.socket) -> None:
        connecting = self._loop.create_task(
            self._loop.connect_accepted_socket(self._front, connection, ssl=self._tls)
        )
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connected)

    def _connected(self, connecting: asyncio.Task[Any]) -> None:
        self._connecting.discard(connecting)
        if not connecting.cancelled():
            connecting.exception()  # of a handshake that failed; asyncio has closed the socket

    # --- requests --------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        number = next(self._numbers)
        if request.headers.get("Upgrade", "").strip().lower() == "websocket":
            plain = _without_protocols(request)
            if web.WebSocketResponse().can_prepare(plain):
                return await self._socket(number, request, plain)
        exchange = _Exchange(request)
        if (unmet := _unmet_expectation(request)) is not None:
            self._answer(exchange, unmet)
            return _Written(exchange.stays)
        body = await self._body(request)
        asked = Request(request.method, request.raw_path, _fields(request), body, _peer(request))
        if self.control is not None and asked.parts.raw_path.startswith(CONTROL_PATH):
            # Not among the exchanges: a reset cuts those.
            self._answer(exchange, self.control(asked))
        else:
            await self._ask(number, exchange, asked)
        if request.protocol.writing_paused:
            await request.writer.drain()
        return _Written(exchange.stays)

    async def _ask(self, number: int, exchange: _Exchange, asked: Request) -> None:
        self._exchanges[number] = exchange
        try:
            try:
                self.feed(RequestReceived(number, asked))
            except ComfyrecError as error:
                self._reply(number, _in_words(error))
            await exchange.wait()
        except asyncio.CancelledError:
            if self._exchanges.get(number) is exchange:
                self.feed(RequestAborted(number))
            raise
        finally:
            self._exchanges.pop(number, None)

    def _front(self) -> Front:
        return Front(self._ask_plainly, self._lost, self._web, self._fronts, loop=self._loop)

    def _ask_plainly(self, front: Front, request: PlainRequest, asked: Request) -> None:
        number = request.number = next(self._numbers)
        exchange = _PlainExchange(request, front)
        if len(asked.body) > self.body_limit:
            asked = msgspec.structs.replace(asked, body=asked.body[: self.body_limit + 1])
        try:
            if self.control is not None and asked.parts.raw_path.startswith(CONTROL_PATH):
                # Not among the exchanges: a reset cuts those.
                self._answer(exchange, self.control(asked))
            else:
                self._exchanges[number] = exchange
                self.feed(RequestReceived(number, asked))
            return
        except ComfyrecError as error:
            answer = _in_words(error)
        except Exception as error:
            # As aiohttp does it; whoever closes the server is told of the error, too.
            aiohttp.log.server_logger.exception("Error handling request", exc_info=error)
            answer = server_error()
        self._exchanges.pop(number, None)
        self._answer(exchange, answer)

    def _lost(self, request: PlainRequest) -> None:
        if self._exchanges.pop(request.number, None) is not None:
            self.feed(RequestAborted(request.number))

    async def _body(self, request: web.BaseRequest) -> bytes:
        if not request.body_exists:
            return b""
        if request.content.is_eof():
            # It came with the head, as small ones do.
            return request.content.read_nowait()[: self.body_limit + 1]
        pieces, size = [], 0
        async for piece in request.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > self.body_limit:
                break
        return b"".join(pieces)[: self.body_limit + 1]

    def _reply(self, number: int, answer: Response) -> None:
        exchange = self._exchanges.pop(number, None) or self._sockets.pop(number, None)
        if exchange is not None:
            self._answer(exchange, answer)

    def _answer(self, exchange: _Exchange, answer: Response) -> None:
        if exchange.over:
            return
        request = exchange.request
        exchange.stays = request.keep_alive and not answer.close
        if request.transport is not None and not request.transport.is_closing():
            whole = _whole(answer, request, exchange.stays)
            request.transport.write(whole)
            exchange.stays &= bool(whole)
            if not whole:
                request.transport.close()
        exchange.finish()

    def _hang_up(self, action: HangUp) -> None:
        exchange = self._exchanges.pop(action.exchange, None)
        exchange = exchange or self._sockets.get(action.exchange)
        if exchange is None or exchange.request.transport is None:
            return
        if action.answer is None or not action.first:
            exchange.request.transport.abort()
        else:
            whole = _whole(action.answer, exchange.request, True)
            exchange.request.transport.write(whole[: action.first])
            exchange.request.transport.close()

    # --- the life of a socket --------------------------------------------------------------------

    async def _socket(
        self, number: int, request: web.BaseRequest, plain: web.BaseRequest
    ) -> web.StreamResponse:
        asked = Request(request.method, request.raw_path, _fields(request), b"", _peer(request))
        socket = _Socket(plain, asked)
        self._sockets[number] = socket
        code = 1006
        try:
            try:
                self.feed(UpgradeRequested(number, asked))
            except ComfyrecError as error:
                self._reply(number, _in_words(error))
            await socket.wait()
            if socket.accept is None:
                return _Written(socket.stays)
            code = await self._talk(number, socket, socket.accept)
        finally:
            self._gone(number, socket, code)
        return _Written(False)

    async def _talk(self, number: int, socket: _Socket, accept: Accept) -> int:
        ws = web.WebSocketResponse(autoclose=False)
        if accept.protocol is not None:
            ws.headers["Sec-WebSocket-Protocol"] = accept.protocol
        for name, value in accept.headers:
            ws.headers.add(name, value)
        with _one_segment(socket.transport) if accept.first else contextlib.nullcontext():
            await ws.prepare(socket.request)
            if accept.first:
                socket.transport.write(accept.first)
        # False when it was not offered, else the size of the window that was agreed on.
        socket.deflate = int(ws.compress)
        socket.open = True
        held, socket.held = socket.held, []
        self._replay(number, held)
        return await self._listen_to(number, socket, ws)

    def _replay(self, number: int, held: list[Action]) -> None:
        for action in held:
            if isinstance(action, Send):
                self._send(action)
            else:
                self._flush()
                self._on_socket(number, action)
        self._flush()

    async def _listen_to(self, number: int, socket: _Socket, ws: web.WebSocketResponse) -> int:
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

    def _gone(self, number: int, socket: _Socket, code: int) -> None:
        if socket.giving_up is not None:
            socket.giving_up.cancel()
        socket.open = False
        self._full.discard(socket)
        if self._sockets.get(number) is socket:
            del self._sockets[number]
            self.feed(Disconnected(number, code))

    # --- for the control plane -------------------------------------------------------------------

    def open_sockets(self) -> dict[int, Request]:
        """Number and handshake of each socket that is open."""
        return {number: s.asked for number, s in self._sockets.items() if s.open}

    def drop(self, number: int, code: int | None = None, reason: str = "") -> bool:
        """Close a socket with a code, or cut it without one; False when there is no such socket."""
        if number not in self._sockets:
            return False
        self.carry([Abort(number) if code is None else Close(number, code, reason)])
        return True


# --- bytes --------------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes, bits: int = 0) -> bytes:
    """One unmasked frame that is a whole message."""
    size, first = len(payload), 0x80 | bits | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126, size >> 8, size & 255)) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def message_frame(message: str | bytes) -> bytes:
    """One message as one frame."""
    if isinstance(message, str):
        return frame(_TEXT, message.encode("utf-8", "surrogatepass"))
    return frame(_BINARY, message)


def _taken_apart(message: str | bytes) -> tuple[int, bytes]:
    if isinstance(message, str):
        return _TEXT, message.encode("utf-8", "surrogatepass")
    return _BINARY, message


def _whole(answer: Response, request: web.BaseRequest | PlainRequest, stays: bool) -> bytes:
    """All of an answer; nothing for one with a field that aiohttp would refuse to write."""
    try:
        return b"".join(rendered(answer, request, stays))
    except ValueError:
        return b""


def rendered(
    answer: Response, request: web.BaseRequest | PlainRequest, stays: bool
) -> Iterator[bytes]:
    """Head and body of an answer, as aiohttp would write them.

    Raises:
        ValueError: a field of it would end its line.
    """
    written, given, chunked = _head_fields(answer.headers)
    headers = list(written)
    bodiless = answer.status in (204, 304) or answer.status < 200
    head_only = request.method == "HEAD"
    version = request.version
    if head_only and not answer.body:
        # Nobody knows the length of what is not there, nor its type; aiohttp says nothing of it.
        headers = _without_guesses(headers) if chunked else headers
    elif chunked and version < (1, 1):
        # Nobody can read chunks there; the end of the connection is the end of the body.
        headers = [line for line in headers if line.lower() != _CHUNKED]
    elif not bodiless and not chunked and "content-length" not in given:
        headers.append(f"Content-Length: {len(answer.body)}\r\n")
    if "date" not in given:
        headers.append(f"Date: {date_field()}\r\n")
    if "server" not in given:
        headers.append(f"Server: {_SERVER}\r\n")
    if "connection" not in given and version == ((1, 0) if stays else (1, 1)):
        headers.append(f"Connection: {'keep-alive' if stays else 'close'}\r\n")
    reason = answer.reason if answer.reason is not None else _phrase(answer.status)
    start = f"HTTP/{version[0]}.{version[1]} {answer.status} {reason}\r\n"
    yield "".join((start, *headers, "\r\n")).encode("utf-8", "surrogateescape")
    if head_only or bodiless:
        return
    if chunked and version >= (1, 1):
        if answer.body:
            yield b"%x\r\n%b\r\n" % (len(answer.body), answer.body)
        yield b"0\r\n\r\n"
    else:
        yield answer.body


def _without_guesses(headers: list[str]) -> list[str]:
    """Without the mark of chunks, and without the type that aiohttp sets behind it."""
    mark = next(i for i, line in enumerate(headers) if line.lower() == _CHUNKED)
    return headers[:mark] + [h for h in headers[mark + 1 :] if h.lower() != _GUESSED]


@lru_cache(maxsize=256)
def _head_fields(
    fields: tuple[tuple[str, str], ...],
) -> tuple[tuple[str, ...], frozenset[str], bool]:
    """The lines of an answer's fields, their names, and whether they say that it is chunked."""
    given = {name.lower(): value for name, value in fields}
    lines = tuple(f"{name}: {value}\r\n" for name, value in fields)
    if any(_ENDS_A_LINE.search(line, 0, len(line) - 2) for line in lines):
        raise ValueError("a field holds the end of a line")
    return lines, frozenset(given), given.get("transfer-encoding", "").lower() == "chunked"


@lru_cache(maxsize=64)
def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _in_words(error: ComfyrecError) -> Response:
    """An error of ours for whoever asked: the test's author, not the client."""
    return Response(
        500,
        (("Content-Type", "text/plain; charset=utf-8"), ("X-Comfyrec-Error", type(error).__name__)),
        f"comfyrec: {error}".encode(),
    )


def _fields(request: web.BaseRequest) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in request.raw_headers
    )


def _unmet_expectation(request: web.BaseRequest) -> Response | None:
    """Tell a client to go on that waits for it; an answer for one that expects something else."""
    expected = request.headers.get("Expect", "")
    if not expected or request.version != (1, 1):
        return None
    if expected.lower() == "100-continue":
        _transport(request).write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    text = ("Content-Type", "text/plain; charset=utf-8")
    return Response(417, (text,), f"Unknown Expect: {expected}".encode())


def _peer(request: web.BaseRequest) -> str:
    peer = _transport(request).get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""


def _without_protocols(request: web.BaseRequest) -> web.BaseRequest:
    """The same request without an offer of subprotocols: the source chooses, not aiohttp."""
    if "Sec-WebSocket-Protocol" not in request.headers:
        return request
    kept = request.headers.copy()
    del kept["Sec-WebSocket-Protocol"]
    return request.clone(headers=kept)


async def _drain(socket: _Socket) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.request.writer.drain()
    socket.draining = None
    socket.stalled = False


@contextlib.contextmanager
def _one_segment(transport: asyncio.Transport) -> Iterator[None]:
    """Keep what is written together, where the system can: a client then reads it in one go."""
    option = getattr(sockets, "TCP_CORK", None) or getattr(sockets, "TCP_NOPUSH", None)
    raw = transport.get_extra_info("socket")
    if option is None or raw is None:
        yield
        return
    raw.setsockopt(sockets.IPPROTO_TCP, option, 1)
    try:
        yield
    finally:
        raw.setsockopt(sockets.IPPROTO_TCP, option, 0)
