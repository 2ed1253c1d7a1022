"""Listening sockets of a loop in another thread, with an epoll of their own and without."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from comfyrec.errors import ServerDied
from fake_server.server import listeners
from fake_server.server.listeners import Listeners, listening
from fake_server.server.thread import LoopThread, serve
from tests.support.scripted_source import Plain, Scripted, Start


@pytest.fixture(params=["epoll", "add_reader"])
def thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopThread]:
    """A loop thread of a system that has epoll, and of one that has not."""
    if request.param == "add_reader":
        monkeypatch.delattr(select, "epoll", raising=False)
    elif not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    thread = LoopThread()
    yield thread
    thread.close()


class Door:
    """A listening socket of a loop thread; each connection is closed as soon as it is there."""

    def __init__(self, thread: LoopThread, sock: socket.socket | None = None) -> None:
        self.thread = thread
        self.sock = sock or listening("127.0.0.1", 0)
        self.address = self.sock.getsockname()
        self.came = 0
        self.someone = threading.Event()

    def open(self) -> Door:
        self.thread.listeners.open(self.sock, self._accepted)
        return self

    def close(self) -> None:
        self.thread.call(self.thread.listeners.close, self.sock)

    def _accepted(self, connection: socket.socket) -> None:
        connection.close()
        self.came += 1
        self.someone.set()

    def visited(self) -> bool:
        """Whether a client that comes gets in."""
        self.someone.clear()
        with socket.create_connection(self.address, 10) as client:
            client.recv(1)
        return self.someone.wait(10)


def test_clients_get_in_as_soon_as_the_socket_is_opened_in_any_thread(thread: LoopThread) -> None:
    doors = [Door(thread).open() for _ in range(3)]

    assert all(door.visited() for door in doors for _ in range(2))

    assert [door.came for door in doors] == [2, 2, 2]
    for door in doors:
        door.close()


def test_a_client_that_was_there_before_gets_in_too(thread: LoopThread) -> None:
    door = Door(thread)

    with socket.create_connection(door.address, 10) as client:
        door.open()
        assert client.recv(1) == b""

    door.close()


def test_a_closed_one_refuses_and_its_number_is_free_for_the_next(thread: LoopThread) -> None:
    first = Door(thread).open()
    number = first.sock.fileno()
    first.close()

    with pytest.raises(ConnectionRefusedError):
        first.visited()
    second = Door(thread).open()

    assert second.sock.fileno() == number
    assert second.visited()
    assert first.came == 0
    second.close()


class Tired(socket.socket):
    """Cannot accept the first time."""

    failure: OSError | None = None
    tries = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.tries += 1
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return super().accept()


def tired(failure: OSError) -> Tired:
    with listening("127.0.0.1", 0) as awake:
        sock = Tired(fileno=awake.detach())
    sock.failure = failure
    return sock


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_one_that_cannot_accept_tries_again_a_moment_later(
    thread: LoopThread, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "RETRY_S", 0.01)
    told: list[dict[str, Any]] = []
    thread.loop.set_exception_handler(lambda _, context: told.append(context))
    door = Door(thread, tired(OSError(number, "no more"))).open()

    assert door.visited()

    assert [context["exception"].errno for context in told] == [number]
    door.close()


def test_one_that_is_closed_before_it_tries_again_stays_closed(thread: LoopThread) -> None:
    pauses: list[Any] = []
    thread.loop.call_later = lambda _, *call: pauses.append(call)  # type: ignore[method-assign,assignment]
    thread.loop.set_exception_handler(lambda *_: paused.set())
    paused = threading.Event()
    door = Door(thread, tired(OSError(errno.EMFILE, "no more"))).open()

    with socket.create_connection(door.address, 10):
        assert paused.wait(10)
        door.close()
    [(again, sock)] = pauses
    follower = Door(thread).open()
    thread.call(again, sock)

    assert follower.visited()
    assert door.came == 0
    follower.close()


@pytest.mark.parametrize("failure", [BlockingIOError(), ConnectionAbortedError()])
def test_a_client_that_left_before_it_was_accepted_is_nobody(
    thread: LoopThread, failure: OSError
) -> None:
    told: list[Any] = []
    thread.loop.set_exception_handler(lambda *_: told.append(_))
    door = Door(thread, tired(failure)).open()

    assert door.visited()

    assert not told
    door.close()


def test_nothing_is_opened_on_a_loop_that_is_closed() -> None:
    thread = LoopThread()
    thread.close()

    with listening("127.0.0.1", 0) as sock, pytest.raises(RuntimeError, match="closed"):
        thread.listeners.open(sock, lambda _: None)


def test_a_server_is_not_opened_on_a_thread_that_has_ended() -> None:
    thread = LoopThread()
    thread.call(thread.loop.stop)
    with pytest.raises(ServerDied):
        thread.run(asyncio.Event().wait())  # until it has ended

    with pytest.raises(ServerDied):
        serve(Scripted(), thread=thread)

    assert not thread.servers


def test_shutting_twice_is_fine(thread: LoopThread) -> None:
    def twice() -> None:
        other = Listeners(thread.loop)
        other.shut()
        other.shut()

    thread.call(twice)


def test_a_stop_waits_for_no_handshake(start: Start) -> None:
    _, handle = start(tls=True)
    deaf = Plain(handle.port)

    with deaf, contextlib.suppress(ConnectionResetError):
        deaf.send(b"\x16\x03\x01")  # the beginning of one
        handle.close()
        assert deaf.rest() == b""
