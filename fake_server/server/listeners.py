"""The listening sockets of one loop, opened from any thread and without waiting for the loop's.

Strategy: a trip to the loop's thread and back costs as much as all else that a new server does. On
Linux an epoll of our own lies in the loop's, and any thread may add to it while the loop waits
(epoll_wait(2), notes): so a socket is watched as soon as it is opened, and nobody is woken for it.
Elsewhere the loop is told, and nobody waits for it: who connects before stands in the backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Listeners", "Port", "listening"]

PORT_MAX: Final = 65_535
BACKLOG: Final = 512
RETRY_S: Final = 1.0
"""A socket that cannot accept, mostly for want of descriptors, is left alone for so long, as
asyncio's own servers do it."""


def listening(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError, OverflowError: the address is taken or is not one of this machine's.
    """
    if not 0 <= port <= PORT_MAX:
        raise OverflowError(port)  # create_server would raise it as well, with its socket left open
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


class Listeners:
    """All listening sockets of a loop. Only ``open`` may be called in other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: dict[int, tuple[socket.socket, Callable[[socket.socket], object]]] = {}
        self._shut = False
        make = getattr(select, "epoll", None)
        self._epoll: Any = make() if make is not None else None
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._look)

    def open(self, sock: socket.socket, accepted: Callable[[socket.socket], object]) -> None:
        """Call ``accepted`` in the loop's thread with each connection that comes to ``sock``.

        Raises:
            RuntimeError: the loop is closed.
        """
        if self._shut:
            raise RuntimeError("the loop of this listening socket is closed")
        sock.setblocking(False)
        self._open[sock.fileno()] = (sock, accepted)
        if self._epoll is not None:
            self._watch(sock)
        else:
            self._loop.call_soon_threadsafe(self._watch, sock)

    def close(self, sock: socket.socket) -> None:
        """Free the port. A connection that was accepted before may still be on its way."""
        if self._has(sock):
            del self._open[sock.fileno()]
            self._ignore(sock)
        sock.close()

    def shut(self) -> None:
        """Let go of the loop, when it is about to be closed."""
        if not self._shut and self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._shut = True

    def _has(self, sock: socket.socket) -> bool:
        # A number says nothing: once closed, it is the next one's.
        known = self._open.get(sock.fileno())
        return known is not None and known[0] is sock

    def _watch(self, sock: socket.socket) -> None:
        if self._shut or not self._has(sock):
            return
        if self._epoll is not None:
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        else:
            self._loop.add_reader(sock.fileno(), self._accept, sock.fileno())

    def _ignore(self, sock: socket.socket) -> None:
        if self._epoll is None:
            self._loop.remove_reader(sock.fileno())
            return
        with contextlib.suppress(FileNotFoundError):  # it is left alone just now
            self._epoll.unregister(sock.fileno())

    def _look(self) -> None:
        for number, _ in self._epoll.poll(0):
            self._accept(number)

    def _accept(self, number: int) -> None:
        known = self._open.get(number)
        if known is None:
            return
        sock, accepted = known
        try:
            connection, _ = sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self._ignore(sock)
            self._loop.call_later(RETRY_S, self._watch, sock)
            self._loop.call_exception_handler(
                {"message": "a connection could not be accepted", "exception": error}
            )
            return
        accepted(connection)


class Port:
    """The port of one server, which can be freed and taken again, and connections under way.

    Args:
        new_connection: makes the protocol of a connection.
        tls: with it connections speak TLS.
    """

    def __init__(
        self,
        listeners: Listeners,
        new_connection: Callable[[], asyncio.Protocol],
        *,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.host, self.number = "", 0
        self._listeners, self._new_connection = listeners, new_connection
        self._loop, self._tls = loop, tls
        self._listener: socket.socket | None = None
        self._connecting: set[asyncio.Task[Any]] = set()

    def open(self, sock: socket.socket) -> None:
        """Take connections on a listening socket. Other threads may call it, too, once.

        Raises:
            RuntimeError: the loop is closed.
        """
        self.host, self.number = sock.getsockname()[:2]
        self._listener = sock
        self._listeners.open(sock, self._accepted)

    def listen(self, accept: bool) -> None:
        """Take the port again, or free it; nothing happens when that is so already.

        Raises:
            OSError: somebody else has taken it meanwhile.
        """
        if accept and self._listener is None:
            self.open(listening(self.host, self.number))
        elif not accept and self._listener is not None:
            self._listeners.close(self._listener)
            self._listener = None

    async def stop(self) -> None:
        """Free the port and end what is still connecting."""
        self.listen(False)
        if self._connecting:
            await asyncio.sleep(0)  # so that each has begun, and closes its socket when it ends
            for connecting in self._connecting:
                connecting.cancel()
            await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accepted(self, connection: socket.socket) -> None:
        # asyncio sets it only for sockets that name their protocol, which accepted ones do not.
        # Without it the second of two small pieces waits for the client's acknowledgment: 40 ms.
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connecting = self._loop.create_task(
            self._loop.connect_accepted_socket(self._new_connection, connection, ssl=self._tls)
        )
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connected)

    def _connected(self, connecting: asyncio.Task[Any]) -> None:
        self._connecting.discard(connecting)
        if not connecting.cancelled():
            connecting.exception()  # of a handshake that failed; asyncio has closed the socket
