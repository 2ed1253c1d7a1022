from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from comfyrec.errors import ProxyError
from comfyrec.flight.control import start_control


class Kept:
    """A rotation as the control sees it."""

    bytes, kept, removed, dropped = 7, 1, 2, 0

    def __init__(self) -> None:
        self.keeping = self

    def keep_recent(self, now: int) -> list[Path]:
        return [Path(f"a-{now}.crec")]


def asked(*requests: tuple[str, str, dict[str, str]]) -> list[tuple[int, Any]]:
    async def scene() -> list[tuple[int, Any]]:
        rotation: Any = Kept()
        runner, port = await start_control(rotation, "127.0.0.1", 0, clock_us=lambda: 5)
        found = []
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                for method, path, headers in requests:
                    async with client.request(method, path, headers=headers) as answer:
                        found.append((answer.status, await answer.text()))
        finally:
            await runner.cleanup()
        return found

    return asyncio.run(scene())


def test_keep_and_status() -> None:
    kept, status = asked(("POST", "/keep", {}), ("GET", "/status", {}))

    assert kept == (200, '{"kept": ["a-5.crec"]}')
    assert status == (200, '{"kept": 1, "removed": 2, "dropped": 0, "bytes": 7}')


def test_pages_and_other_methods_are_refused() -> None:
    found = asked(("POST", "/keep", {"Origin": "http://evil"}), ("GET", "/keep", {}))

    assert [status for status, _ in found] == [403, 405]


def test_an_address_that_is_taken_is_one_sentence() -> None:
    async def scene() -> None:
        rotation: Any = Kept()
        runner, port = await start_control(rotation, "127.0.0.1", 0, clock_us=lambda: 5)
        try:
            await start_control(rotation, "127.0.0.1", port, clock_us=lambda: 5)
        finally:
            await runner.cleanup()

    with pytest.raises(ProxyError, match="--control 127"):
        asyncio.run(scene())
