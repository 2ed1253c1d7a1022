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
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Listeners", "listening"]

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
