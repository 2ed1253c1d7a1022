"""A page of a recording, served while it grows: ``view --serve``, and beside ``record --view``."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from comfyrec.cassette.files import Tail
from comfyrec.cassette.files.temporary_blocks import TemporaryBlocks
from comfyrec.cli._growth import growth_of
from comfyrec.http.origin import is_foreign, names_an_address
from comfyrec.show.live_page import WAIT_S_MAX, LivePage
from comfyrec.show.page_file import page_files

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["Served", "served_page"]

RECORDS_AT_ONCE: Final = 2_000
"""Between two looks at requests."""
PATIENCE_S: Final = 2.0
"""How long nothing may happen to a file before it is looked at all the same."""


@contextlib.asynccontextmanager
async def served_page(
    path: str, listener: socket.socket, *, say: Callable[[str], None]
) -> AsyncIterator[Served]:
    """Serve the page of a recording as long as the block runs.

    Args:
        path: of a cassette, which may grow.
        listener: where it is served.
        say: shows a person one sentence.

    Raises:
        CassetteError: it cannot be read at all.
    """
    from aiohttp import web

    tail, spool = Tail(path), TemporaryBlocks()
    page = LivePage(
        spool,
        page_files(),
        name=Path(path).name,
        redacted=tail.header.redacted,
        instance=secrets.token_hex(8),
    )
    news = asyncio.Condition()
    app = web.Application(middlewares=[_middleware()])
    app.router.add_get("/{path:.*}", _Asked(page, news).answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    over = asyncio.Event()
    reading = asyncio.create_task(_read(tail, page, news, over, say))
    host, port = listener.getsockname()[:2]
    try:
        yield Served(f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/", over)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await runner.cleanup()
        tail.close()
        spool.close()


class Served(NamedTuple):
    """A page that is served."""

    url: str
    over: asyncio.Event
    """Set when the recording has ended, and whoever waited for news was told."""


class _Asked:
    """Answers requests; one for news waits until there are some."""

    def __init__(self, page: LivePage, news: asyncio.Condition) -> None:
        self._page, self._news = page, news

    async def answer(self, request: web.Request) -> web.Response:
        from aiohttp import web

        query, path = request.query, f"/{request.match_info['path']}"
        if path == "/rows" and "wait_s" in query:
            await self._until_news(query)
        found = self._page.answer(path, query)
        if found is None:
            return web.Response(status=404, text="there is no such part of the page\n")
        return web.Response(status=found.status, headers=list(found.headers), body=found.body)

    async def _until_news(self, query: Any) -> None:
        with contextlib.suppress(TimeoutError, ValueError):
            async with asyncio.timeout(min(float(query["wait_s"]), WAIT_S_MAX)), self._news:
                await self._news.wait_for(lambda: self._page.has_news(query))


async def _read(
    tail: Tail,
    page: LivePage,
    news: asyncio.Condition,
    over: asyncio.Event,
    say: Callable[[str], None],
) -> None:
    """Read on each time that the file has grown, until the recording ends."""
    with growth_of(Path(tail.path)) as growth:
        while not page.over:
            some = []
            for record in tail.more():
                some.append(record)
                if len(some) >= RECORDS_AT_ONCE:
                    page.take(some)
                    some = []
                    await asyncio.sleep(0)  # somebody may have asked for something
            page.take(some)
            if tail.ended:
                page.finish(whole=True)
            async with news:
                news.notify_all()
            if not page.over:
                await growth.wait_here(PATIENCE_S)
    over.set()
    for problem in tail.problems[:1]:
        say(str(problem))


def _middleware() -> Any:
    from aiohttp import web

    @web.middleware
    async def guarded(request: web.Request, handler: Any) -> web.StreamResponse:
        """A page of another origin gets nothing, nor does one whose name leads to this machine."""
        host, headers = request.headers.get("Host", ""), request.headers
        foreign = is_foreign(host, headers.get("Origin", ""), headers.get("Sec-Fetch-Site", ""))
        if foreign or not names_an_address(host):
            text = "this page is for the machine that it is served on, by its address\n"
            return web.Response(status=403, text=text)
        answer: web.StreamResponse = await handler(request)
        return answer

    return guarded
