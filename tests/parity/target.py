"""The server under test, and the control plane if it is a fake one."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from tests.parity.play import Player

CASE_LIMIT = 10.0
"""Seconds that one case may take, set-up included."""


def connected() -> aiohttp.ClientSession:
    """A session that opens a connection for each request, and keeps no cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=20),
        timeout=aiohttp.ClientTimeout(total=8),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class Target:
    """The server under test, and the control plane if it is a fake one."""

    def __init__(self, session: aiohttp.ClientSession, base: str, *, fake: bool = False) -> None:
        self.session, self.base, self.fake = session, base.rstrip("/"), fake

    async def look(self) -> None:
        async with self.session.get(self.base + "/__fake__/") as answer:
            self.fake = answer.status not in (404, 405)

    async def control(self, method: str, path: str, body: Any = None) -> None:
        async with self.session.request(
            method, f"{self.base}/__fake__/{path}", json=body
        ) as answer:
            if answer.status >= 300:
                print(f"       {method} /__fake__/{path} answered {answer.status}")

    async def play(self, case: dict) -> dict:
        player = Player(self.session, self.base, case, self.fake)
        limit = CASE_LIMIT if self.fake else case.get("limit", CASE_LIMIT)
        try:
            if self.fake:
                await self.control("POST", "reset", {})
                if case.get("fake"):
                    await self.control("PUT", "scenario", player.names.fill(case["fake"]))
            return await asyncio.wait_for(player.play(), limit)
        except TimeoutError:
            await player.leave()
            return player.transcript(f"the case took longer than {limit:g} s")
