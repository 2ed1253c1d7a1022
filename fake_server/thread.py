"""One loop in one thread, many servers on it: start, stop, and the handle that a test holds.

A server of its own for each test costs well under a millisecond this way, and a test that uses it
may be synchronous, or run any loop it likes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from comfyrec.errors import UsageError
from fake_server.actions import Source
from fake_server.app import Server
from fake_server.control import Control, Told

__all__ = ["Handle", "LoopThread", "bound", "loop_thread", "serve"]

P = ParamSpec("P")
T = TypeVar("T")
ANSWER_S: Final = 30.0
"""A loop that does not answer for so long hangs; better to say so than to hang too."""


class LoopThread:
    """A loop that runs in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="comfyrec-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def inside(self) -> bool:
        """Whether the caller is in the loop's thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the loop's thread and give what it returns or raises.

        Raises:
            TimeoutError: the loop hangs.
        """
        if self.inside:
            return function(*args, **kwargs)
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(function(*args, **kwargs))
            except BaseException as error:
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return done.result(ANSWER_S)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop's thread and give what it returns or raises.

        Raises:
            TimeoutError: it did not end in time.
        """
        if self.inside:
            coroutine.close()
            raise RuntimeError("the loop's own thread cannot wait for its loop")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(ANSWER_S)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(ANSWER_S)
        self.loop.close()


_the_thread: LoopThread | None = None
_making = threading.Lock()


def loop_thread() -> LoopThread:
    """The one loop thread of this process, started when first asked for."""
    global _the_thread
    with _making:
        # A forked child has the object, but not the thread.
        if _the_thread is None or _the_thread.pid != os.getpid() or _the_thread.loop.is_closed():
            _the_thread = LoopThread()
        return _the_thread


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: the address is taken or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
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
        self.host, self.port = server.host, server.port
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
            Exception: the first one that the server's source raised while it ran.
        """
        if self._closed:
            return
        self._closed = True
        self.thread.run(self.server.stop())
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
    start: Callable[[], Source] | None = None,
    told: Told | None = None,
    about: dict[str, Any] | None = None,
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
        start: gives the source anew, for ``POST /__fake__/reset``; with it the server has a
            control plane.
        told: scenario name and parameters -> source, for ``PUT /__fake__/scenario``.
        about: what ``GET /__fake__/`` says besides the state.
        tls: speak TLS, with a certificate that nobody trusts.
        prefix: the path that the server's addresses end in.
        options: of ``Server``: ``speed``, ``body_limit``, ``outgoing_max``.

    Raises:
        UsageError: the port is taken.
    """
    thread = thread or loop_thread()
    sock = bound(host, port)
    context = _untrusted() if tls else None
    server = Server(source, loop=thread.loop, tls=context, **options)
    if start is not None:
        server.control = Control(server, start=start, told=told, about=about).answer
    thread.run(server.start(sock))
    return Handle(server, thread, tls=tls, prefix=prefix)


def _untrusted() -> ssl.SSLContext:
    """A context with the certificate that lies beside this file; it is nobody's secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    return context
