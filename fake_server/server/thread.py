"""One loop in one thread, many servers on it: start, stop, and the handle that a test holds.

A server of its own for each test costs well under a millisecond this way, and a test that uses it
may be synchronous, or run any loop it likes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar

from comfyrec.errors import ServerDied, UsageError
from fake_server.server.listeners import Listeners, listening
from fake_server.server.server import Server
from fake_server.source import Source

__all__ = ["Handle", "LoopThread", "SharedThread", "bound", "loop_thread", "serve"]

P = ParamSpec("P")
T = TypeVar("T")
ANSWER_S: Final = 30.0
"""Real seconds after which a loop that does not answer counts as hanging."""
_LAST_S: Final = 5.0
"""Real seconds that a thread which ends has for closing what it serves."""
_LAST_TURNS: Final = 8


class LoopThread:
    """A loop that runs in a daemon thread.

    If the thread ends without ``close``, the ports of its servers are freed, so that clients
    are refused and do not wait, and those who wait for it or call it get ``ServerDied``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        # Not the policy's: it has to watch sockets, which not every loop of Windows can.
        self.loop = loop or asyncio.SelectorEventLoop()
        self.listeners = Listeners(self.loop)
        self.pid = os.getpid()
        self.died: str | None = None
        """Why the thread ended; None while it runs."""
        self.servers: set[Server] = set()
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="comfyrec-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            why = "its loop was stopped"
        except BaseException as error:  # SystemExit too; those who wait are told
            why = repr(error)
        if not self._closing:
            self._die(why)

    def _die(self, why: str) -> None:
        self.died = self.died or why
        with contextlib.suppress(Exception):  # what ended it may do so again
            self.loop.run_until_complete(self._last_things())
        for done in list(self._waiting):
            done.cancel()
        self.listeners.shut()
        self.loop.close()

    async def _last_things(self) -> None:
        async with asyncio.timeout(_LAST_S):
            stopping = []
            # Again and again: what was just being accepted is a connection a few turns later only,
            # and a stop that has begun waits for that one, too.
            for _ in range(_LAST_TURNS):
                stopping += [asyncio.ensure_future(server.stop()) for server in list(self.servers)]
                await _turns()
            await asyncio.gather(*stopping)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await _turns()

    @property
    def usable(self) -> bool:
        """Whether it takes calls; a forked child has the object, but not the thread."""
        return self.died is None and self.pid == os.getpid() and not self.loop.is_closed()

    @property
    def inside(self) -> bool:
        """Whether the caller is in the loop's thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the loop's thread and give what it returns or raises.

        Raises:
            ServerDied: the thread has ended.
            TimeoutError: the loop hangs.
        """
        if self.inside:
            return function(*args, **kwargs)
        self._must_live()
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(function(*args, **kwargs))
            except BaseException as error:
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return self._answer(done)

    def start(self, server: Server, sock: socket.socket) -> None:
        """Let a server take connections on a listening socket, from now on.

        Raises:
            ServerDied: the thread has ended.
        """
        # Into the set before the check: a thread that ends in between finds it there.
        self.servers.add(server)
        try:
            self._must_live()
            server.start(sock)
            self._must_live()
        except BaseException:
            self.servers.discard(server)
            sock.close()
            raise

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop's thread and give what it returns or raises.

        Raises:
            ServerDied: the thread has ended.
            TimeoutError: it did not end in time.
        """
        if self.inside or self.died is not None or self.is_of_parent:
            coroutine.close()
        self._must_live()
        if self.inside:
            raise RuntimeError("the loop's own thread cannot wait for its loop")
        return self._answer(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    @property
    def is_of_parent(self) -> bool:
        """Whether this process was forked from the one that has the thread."""
        return self.pid != os.getpid()

    def _must_live(self) -> None:
        if self.is_of_parent:
            raise ServerDied("this process was forked from the one that it runs in")
        if self.died is not None:
            raise ServerDied(self.died)

    def _answer(self, done: concurrent.futures.Future[T]) -> T:
        # Into the set before the check: a thread that ends in between finds it there.
        self._waiting.add(done)
        try:
            if self.died is not None:
                done.cancel()
            return done.result(ANSWER_S)
        except concurrent.futures.CancelledError:
            self._must_live()
            raise
        finally:
            self._waiting.discard(done)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._closing = True
        if self.died is None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(ANSWER_S)
            self.listeners.shut()
            self.loop.close()


async def _turns() -> None:
    for _ in range(_LAST_TURNS):
        await asyncio.sleep(0)


L = TypeVar("L", bound=LoopThread)


class SharedThread(Generic[L]):
    """The one loop thread of its kind in this process: made when first asked for, or when the last
    one has ended or was left behind by a fork."""

    def __init__(self, make: Callable[[], L]) -> None:
        self._make = make
        self._thread: L | None = None
        self._making = threading.Lock()

    def get(self) -> L:
        """The thread; it takes calls."""
        with self._making:
            if self._thread is None or not self._thread.usable:
                self._thread = self._make()
            return self._thread


_shared = SharedThread(LoopThread)


def loop_thread() -> LoopThread:
    """The one loop thread of this process, started when first asked for."""
    return _shared.get()


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: the address is taken or is not one of this machine's.
    """
    try:
        return listening(host, port)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number and number > 0 else "no such address"
        mend = "give another --port, or --port 0 for a free one"
        if number != errno.EADDRINUSE:
            mend = "give an address of this machine with --host, and a port that you may use"
        raise UsageError(f"cannot listen on {host}:{port}: {why}; {mend}") from None


class Handle:
    """A running server, seen from another thread."""

    def __init__(
        self, server: Server, thread: LoopThread, *, tls: bool = False, prefix: str = ""
    ) -> None:
        self.server, self.thread = server, thread
        self.host, self.port = server.port.host, server.port.number
        self._tls, self._prefix = tls, prefix.rstrip("/")
        self._closed = False

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http{'s' if self._tls else ''}://{self._authority}{self._prefix}"

    @property
    def ws_url(self) -> str:
        """Base URL for websockets, without a slash at its end."""
        return f"ws{'s' if self._tls else ''}://{self._authority}{self._prefix}"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the server's thread and give what it returns or raises."""
        return self.thread.call(function, *args, **kwargs)

    def close(self) -> None:
        """Stop the server. Doing it twice is fine.

        Raises:
            ServerDied: its thread had ended, and with it the server.
            Exception: the first one that the server's source raised while it ran.
        """
        if self._closed or self.thread.is_of_parent:
            return  # a forked child that leaves a test must not wait for a thread that it has not
        self._closed = True
        self.thread.run(self._end())

    async def aclose(self) -> None:
        """As ``close``, for the server's own loop."""
        if not self._closed:
            self._closed = True
            await self._end()

    async def _end(self) -> None:
        await self.server.stop()
        self.thread.servers.discard(self.server)
        if self.server.failure is not None:
            raise self.server.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def serve(
    source: Source,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    thread: LoopThread | None = None,
    tls: bool = False,
    prefix: str = "",
    **options: Any,
) -> Handle:
    """Serve a source on a port of its own, on the process's loop thread.

    Args:
        source: what the server does.
        host: where to listen.
        port: 0 picks a free one.
        thread: another loop thread than the process's own.
        tls: speak TLS, with a self-signed certificate.
        prefix: the path that the server's addresses end in.
        options: of ``Server``: ``speed``, ``body_limit``, ``outgoing_max``.

    Raises:
        UsageError: the port is taken.
    """
    thread = thread or loop_thread()
    sock = bound(host, port)
    context = _self_signed() if tls else None
    loop, listeners = thread.loop, thread.listeners
    server = Server(source, loop=loop, listeners=listeners, tls=context, **options)
    thread.start(server, sock)
    return Handle(server, thread, tls=tls, prefix=prefix)


def _self_signed() -> ssl.SSLContext:
    """A context with the certificate beside this file, whose key is public."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    return context
