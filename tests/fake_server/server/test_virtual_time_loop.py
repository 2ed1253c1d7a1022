"""A coroutine under test runs on the server's loop in virtual time: waiting costs nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any
from urllib.request import urlopen

import pytest

import fake_server.server.thread
from comfyrec.strategies import Judged, Served, Stream, fake_comfyui, played
from fake_server.server.virtual_time_loop import virtual_time_thread

RUN = played(Stream(graph={"1": {"class_type": "PreviewAny", "inputs": {"source": ""}}}))
HOUR_S = 3600


def queue(server: Served) -> Any:
    with urlopen(f"{server.url}/queue", timeout=5) as answer:
        return json.loads(answer.read())


def test_an_hour_is_over_at_once() -> None:
    async def waits() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(HOUR_S)
        return loop.time() - began

    with fake_comfyui(RUN) as server:
        assert HOUR_S <= server.bounded(waits, seconds=2 * HOUR_S) < HOUR_S + 1


def test_a_client_without_an_end_is_stopped_at_the_limit_of_its_own_time() -> None:
    async def waits() -> None:
        await asyncio.Event().wait()

    loop = virtual_time_thread().loop
    began = loop.time()
    with fake_comfyui(RUN) as server, pytest.raises(Judged, match="never reported an outcome"):
        server.bounded(waits, seconds=HOUR_S)

    assert loop.time() - began >= HOUR_S


def test_a_client_that_will_not_be_cancelled_is_stopped_all_the_same() -> None:
    async def stubborn() -> None:
        for _ in range(50):
            try:
                await asyncio.sleep(HOUR_S)
            except asyncio.CancelledError:
                continue

    with fake_comfyui(RUN) as server, pytest.raises(Judged, match="never reported an outcome"):
        server.bounded(stubborn)


def test_a_client_that_spins_gets_to_its_limit_too() -> None:
    async def spins() -> None:
        while True:  # noqa: ASYNC110  # what is to be stopped
            await asyncio.sleep(0)

    with fake_comfyui(RUN) as server, pytest.raises(Judged, match="never reported an outcome"):
        server.bounded(spins)


def test_time_is_real_while_something_runs_in_another_thread() -> None:
    async def asks() -> Any:
        async with asyncio.timeout(30):
            return await asyncio.to_thread(queue, server)

    with fake_comfyui(RUN) as server:
        assert server.bounded(asks, seconds=60) == {"queue_running": [], "queue_pending": []}


def test_what_a_coroutine_raises_is_raised() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with fake_comfyui(RUN) as server, pytest.raises(ZeroDivisionError):
        server.bounded(fails)


def test_real_time_goes_on_behind_it() -> None:
    async def waits() -> None:
        await asyncio.sleep(HOUR_S)

    with fake_comfyui(RUN) as server, fake_comfyui(RUN) as other:
        server.bounded(waits, seconds=2 * HOUR_S)

        assert server.bounded(lambda: queue(server)) == queue(other)


def test_a_client_that_blocks_the_loop_is_named_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake_server.server.thread, "ANSWER_S", 0.2)
    blocked, thread = threading.Event(), virtual_time_thread()

    async def blocks() -> None:
        blocked.wait(10)

    with pytest.raises(Judged, match="the client blocks the loop"), fake_comfyui(RUN) as server:
        server.bounded(blocks)

    blocked.set()
    thread._thread.join(10)
    assert thread.loop.is_closed()
    with fake_comfyui(RUN) as server:
        assert queue(server) == {"queue_running": [], "queue_pending": []}
