"""A loop in a thread, the servers on it, and how either ends."""

from __future__ import annotations

import asyncio
import os

import pytest

from comfyrec.errors import ServerDied, UsageError
from fake_server.server.thread import LoopThread, SharedThread, bound, loop_thread, serve
from tests.support.scripted_source import Plain, Scripted, Start


def test_closing_twice_is_fine_and_a_closed_server_refuses(start: Start) -> None:
    _, handle = start()

    handle.close()
    handle.close()

    with pytest.raises(ConnectionRefusedError):
        Plain(handle.port)


def test_a_taken_port_is_said_with_the_mend(start: Start) -> None:
    _, handle = start()

    with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*--port 0"):
        serve(Scripted(), port=handle.port)


def test_a_loop_thread_gives_what_is_returned_and_raised() -> None:
    thread = LoopThread()

    assert thread.call(lambda: thread.inside) is True
    assert thread.inside is False
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    thread.close()


def test_a_loop_thread_runs_coroutines_but_not_for_itself() -> None:
    thread = LoopThread()

    async def answer() -> int:
        return 42

    def from_inside() -> int:
        return thread.run(answer())

    assert thread.run(answer()) == 42
    with pytest.raises(RuntimeError, match="cannot wait for its loop"):
        thread.call(from_inside)
    thread.close()


def test_a_thread_whose_loop_has_stopped_says_so() -> None:
    thread = LoopThread()

    thread.loop.call_soon_threadsafe(thread.loop.stop)
    thread._thread.join(10)

    with pytest.raises(ServerDied, match="its loop was stopped"):
        thread.call(lambda: None)
    with pytest.raises(ServerDied):
        thread.run(asyncio.sleep(0))


def test_the_shared_thread_is_the_same_until_it_ends() -> None:
    shared = SharedThread(LoopThread)
    first = shared.get()
    again = shared.get()
    first.close()

    second = shared.get()

    assert again is first
    assert second is not first
    assert second.call(lambda: 7) == 7
    second.close()


def test_the_shared_thread_is_made_anew_behind_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedThread(LoopThread)
    parent = shared.get()

    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: parent.pid + 1)
        child = shared.get()

    assert child is not parent
    parent.close()
    child.close()


def test_one_thread_serves_the_whole_process() -> None:
    assert loop_thread() is loop_thread()


@pytest.mark.parametrize("address", [("203.0.113.7", 0), ("127.0.0.1", 70_000)], ids=str)
def test_an_address_that_cannot_be_used_is_said_with_the_mend(address: tuple[str, int]) -> None:
    with pytest.raises(UsageError, match="give an address of this machine with --host"):
        bound(*address)


@pytest.mark.parametrize(
    ("options", "url", "ws_url"),
    [
        ({}, "http://127.0.0.1:{}", "ws://127.0.0.1:{}"),
        ({"tls": True}, "https://127.0.0.1:{}", "wss://127.0.0.1:{}"),
        ({"prefix": "/comfy/"}, "http://127.0.0.1:{}/comfy", "ws://127.0.0.1:{}/comfy"),
    ],
    ids=["plain", "tls", "a prefix"],
)
def test_a_handle_has_the_addresses_of_its_server(
    options: dict[str, bool | str], url: str, ws_url: str
) -> None:
    with serve(Scripted(), **options) as handle:
        assert (handle.url, handle.ws_url) == (url.format(handle.port), ws_url.format(handle.port))


def test_a_forked_child_neither_waits_for_the_parents_thread_nor_stops_its_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve(Scripted()) as handle:
        monkeypatch.setattr(handle.thread, "pid", handle.thread.pid + 1)  # as in a child

        handle.close()
        with pytest.raises(ServerDied, match="forked"):
            handle.call(lambda: None)

        monkeypatch.undo()
        assert handle.call(lambda: 1) == 1
