"""A server under control: its holds and the servers it made by number, and waiting on its loop."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, TypeVar

from comfyrec.errors import UsageError
from comfyrec.testing.handle import ComfyUI, Holding, WaitedTooLong
from comfyrec.testing.settings import PluginSettings

__all__ = ["UI_PATH", "Controlled"]

UI_PATH: Final = "/ui"
"""Below it is the page of what the server does; see ``comfyrec.control.page``."""

T = TypeVar("T")


class Controlled:
    """One server, seen from its own loop.

    Args:
        server: which one.
        make: makes one more server.
        control_url: where it is controlled.
        attach: gives a server that was made its own control plane.

    Attributes:
        first: its settings at the start, which a reset brings back.
    """

    def __init__(
        self,
        server: ComfyUI,
        make: Callable[[PluginSettings], ComfyUI],
        control_url: str,
        attach: Callable[[Controlled], None],
    ) -> None:
        self.server, self.first = server, server.settings
        self.make, self.control_url, self.attach = make, control_url, attach
        self.holdings: dict[int, Holding] = {}
        self.children: dict[int, Controlled] = {}
        self.resume_speed = server.handle.server.clock.speed or 1.0
        self.coming_back: asyncio.TimerHandle | None = None
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """Of a hold or a server."""
        return next(self._numbers)

    def holding(self, number: int) -> Holding:
        """A hold that was not released.

        Raises:
            UsageError: there is none of that number.
        """
        return _found(self.holdings, number, "hold", "/holds")

    def child(self, number: int) -> Controlled:
        """A server that this one has made.

        Raises:
            UsageError: there is none of that number.
        """
        return _found(self.children, number, "server", "/servers")

    async def until(
        self, holds: Callable[[], object], what: str, timeout_s: float | None = None
    ) -> None:
        """Wait until ``holds()`` is true, without keeping the loop from its work.

        Raises:
            WaitedTooLong: not in time; says ``what`` was waited for.
        """
        limit = self.server.settings.timeout_s if timeout_s is None else timeout_s
        if not await self.in_time(holds, limit):
            raise WaitedTooLong(self.server.why_not_yet(what, limit))

    async def in_time(self, holds: Callable[[], object], limit_s: float) -> bool:
        """Wait until ``holds()`` is true or the time is over; whether it is."""
        changed = asyncio.Event()
        # What happens, happens on this loop: the watcher is called in its thread.
        self.server.watchers.add(changed.set)
        try:
            async with asyncio.timeout(limit_s):
                while not holds():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return bool(holds())
        finally:
            self.server.watchers.discard(changed.set)
        return True

    async def end(self) -> list[str]:
        """End the servers that this one made, then this one; gives what they complained of."""
        complaints = await self.end_children()
        complaints += self.server.complaints
        if self.coming_back is not None:
            self.coming_back.cancel()
        await self.server.aclose()
        return complaints

    async def end_children(self) -> list[str]:
        """End the servers that this one made; gives what they complained of."""
        complaints = []
        while self.children:
            _, child = self.children.popitem()
            complaints += await child.end()
        return complaints


def _found(among: dict[int, T], number: int, noun: str, listed: str) -> T:
    if number not in among:
        raise UsageError(f"there is no {noun} {number}; GET /__fake__{listed} lists them")
    return among[number]
