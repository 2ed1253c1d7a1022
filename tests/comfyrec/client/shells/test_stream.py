"""Everything a server says, as one stream that outlives the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from comfyrec import events
from comfyrec.client import EventStream
from comfyrec.client.shells.stream import ReceiveError, Reconnected, ReconnectError, Skipped
from comfyrec.errors import DecodeError, NoServer
from fake_server.server.thread import Handle, serve
from fake_server.source import Close, Send, UpgradeRequested, Wake, Woke
from tests.support.scripted_comfyui import Server, event, status

T = TypeVar("T")


def listen(handle: Handle, what: Callable[[EventStream], Awaitable[T]], **options: Any) -> T:
    async def main() -> T:
        async with (
            asyncio.timeout(20),
            EventStream(handle.url, environment={}, **options) as stream,
        ):
            return await what(stream)

    return asyncio.run(main())


async def until(stream: EventStream, kind: type) -> list[Any]:
    """Items up to the first of a kind."""
    items = []
    async for item in stream:
        items.append(item)
        if isinstance(item, kind):
            return items
    raise AssertionError("the stream has ended")


class Cutting(Server):
    """Greets, and cuts the first socket soon after."""

    cuts = 1

    def handle(self, happened: Any, now: int) -> list[Any]:
        if isinstance(happened, Woke) and self.cuts:
            self.cuts -= 1
            self.cut()
        actions = super().handle(happened, now)
        return [*actions, Wake(now + 20_000)] if isinstance(happened, UpgradeRequested) else actions


class Talking(Server):
    """Says a lot soon after it greeted, and closes the socket behind it."""

    def handle(self, happened: Any, now: int) -> list[Any]:
        if isinstance(happened, Woke):
            for n in range(11_000):
                said = event("progress", value=n, max=1, prompt_id="p", node="1")
                self._out += [Send((socket,), said) for socket in self.sockets]
            self._out += [Close(socket) for socket in self.sockets]
        actions = super().handle(happened, now)
        return [*actions, Wake(now + 20_000)] if isinstance(happened, UpgradeRequested) else actions


def test_after_a_drop_come_error_then_success_then_events_again():
    async def watch(stream: EventStream) -> list[Any]:
        first = await until(stream, Reconnected)
        return first + await until(stream, events.Status)

    with serve(Cutting(), speed=1.0) as handle:
        items = listen(handle, watch)

    assert [type(i).__name__ for i in items] == [
        "Status",
        "ReceiveError",
        "Reconnected",
        "Status",
    ]


@pytest.mark.slow
def test_attempts_that_fail_are_told_in_between(unused_port: int):
    async def main() -> list[str]:
        handle = await asyncio.to_thread(serve, Server(), port=unused_port, speed=1.0)
        async with asyncio.timeout(20), EventStream(handle.url, environment={}) as stream:
            await until(stream, events.Status)
            await asyncio.to_thread(handle.close)
            items = await until(stream, ReconnectError)
            handle = await asyncio.to_thread(serve, Server(), port=unused_port, speed=1.0)
            try:
                items += await until(stream, Reconnected)
                items += await until(stream, events.Status)
            finally:
                await asyncio.to_thread(handle.close)
        return [type(item).__name__ for item in items]

    names = asyncio.run(main())

    assert names[:2] == ["ReceiveError", "ReconnectError"]
    assert names[-2:] == ["Reconnected", "Status"]
    assert set(names[2:-2]) <= {"ReconnectError"}


def test_without_reconnecting_the_stream_ends_after_one_error():
    async def watch(stream: EventStream) -> list[Any]:
        return [item async for item in stream]

    with serve(Cutting(), speed=1.0) as handle:
        items = listen(handle, watch, reconnect=False)

    assert [type(i).__name__ for i in items] == ["Status", "ReceiveError"]
    assert isinstance(items[-1], ReceiveError)


def test_a_message_that_is_no_json_is_one_error_item_and_the_next_one_comes():
    server = Server()
    server.greeting = ["{no", status(0, sid="s")]
    with serve(server, speed=1.0) as handle:
        items = listen(handle, lambda stream: until(stream, events.Status))

    assert [type(i) for i in items] == [DecodeError, events.Status]


def test_leaving_the_stream_closes_the_socket():
    server = Server()
    with serve(server, speed=1.0) as handle:
        listen(handle, lambda stream: until(stream, events.Status))
        assert server.left.wait(10)

    assert not server.sockets


def test_a_slow_consumer_does_not_stop_the_reading_and_is_told_what_it_missed():
    async def slowly(stream: EventStream) -> list[Any]:
        # Nothing is taken until everything has come in.
        await asyncio.wait([reader for reader in [stream._reader] if reader])
        return await until(stream, Skipped) + await until(stream, events.Progress)

    with serve(Talking(), speed=1.0) as handle:
        skipped, oldest = listen(handle, slowly, reconnect=False)

    # The greeting, a thousand and one of these; the last item says that the socket is gone.
    assert skipped == Skipped(1_002)
    assert oldest.data.value == 1_001


def test_a_first_connection_that_fails_is_an_error(unused_port: int):
    async def main() -> None:
        async with EventStream(f"127.0.0.1:{unused_port}", environment={}):
            raise AssertionError("nobody is there")

    with pytest.raises(NoServer, match=str(unused_port)):
        asyncio.run(main())
