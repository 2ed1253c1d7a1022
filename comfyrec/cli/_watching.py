"""``--metrics`` and ``--otlp``: a recording or a server is watched while it goes on.

Nothing of it may hold up what is watched: records wait in a bounded list for a turn of the loop,
spans in a bounded queue for their collector, and what does not fit is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.cli.terminal.output import tool
from comfyrec.proxy.recorder import Sink
from comfyrec.show.metrics import CONTENT_TYPE, Metrics
from comfyrec.show.watch import Spans, Watch, Watcher
from comfyrec.wording import plural

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import web

    from comfyrec.testing.handle import ComfyUI

__all__ = ["Watching", "watched"]

RECORDS_AT_ONCE: Final = 256
"""In one turn of the loop: a millisecond or two, so that nobody's traffic waits longer."""
RECORDS_WAITING_MAX: Final = 50_000
REQUESTS_WAITING_MAX: Final = 1_000
"""Export requests, one for each prompt, that wait for a collector."""
EXPORT_S: Final = 5.0
"""For one request; a collector is near."""
RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0)
LAST_S: Final = 3.0
"""For what still waits when the recording ends; a person who pressed Ctrl-C waits no longer."""
SETTLE_S: Final = 1.0
_AGAIN: Final = (429, 502, 503, 504)
"""Statuses after which a collector wants to be asked again (OTLP specification, "Failures")."""


class Watching:
    """Watches one recording. ``take`` may be called before ``start``; all belongs to one loop."""

    def __init__(
        self,
        listener: socket.socket | None,
        collector: str | None,
        *,
        say: Callable[[str], None],
        clock_us: Callable[[], int],
    ) -> None:
        self._listener, self._say, self.clock_us = listener, say, clock_us
        self.metrics = Metrics(version=tool().partition(" ")[2])
        self._spans = Spans(tool=tool())
        self._sender = None if collector is None else _Sender(collector, say)
        watchers: list[Watcher] = [self.metrics]
        if self._sender is not None:
            watchers.append(self._spans)
        self._watch = Watch(watchers)
        self._waiting: deque[AnyRecord] = deque([Session(0, clock_us())])
        self._due = self._broken = False
        self.unwatched = 0
        """Records that nobody looked at, since too many waited."""
        self.more: Callable[[], Mapping[str, tuple[str, int]]] = dict
        """Further counters, name -> (help, value)."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: web.AppRunner | None = None
        self._settling: asyncio.TimerHandle | None = None

    def may_ask(self, entry_of: Callable[[str], Mapping[str, Any] | None]) -> None:
        """From now on ask this for the history entries of prompts whose end nobody was told."""
        self._watch.entry_of = entry_of

    # --- records -------------------------------------------------------------------------------

    def behind(self, sink: Sink) -> Sink:
        """The same sink; what was written to it is watched."""
        return _Watched(sink, self)

    def take(self, records: list[AnyRecord]) -> None:
        """Look at these records soon."""
        if self._broken:
            return
        if len(self._waiting) + len(records) > RECORDS_WAITING_MAX:
            self.unwatched += len(records)
            return
        self._waiting += records
        self._look_soon()

    def _look_soon(self) -> None:
        if self._loop is not None and not self._due and self._waiting:
            self._due = True
            self._loop.call_soon(self._look)

    def _look(self, most: int = RECORDS_AT_ONCE) -> None:
        self._due = False
        waiting = self._waiting
        some = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        self._guarded(lambda: self._watch.take(some))
        self._send()
        self._look_soon()

    def _guarded(self, look: Callable[[], None]) -> None:
        """A fault of ours ends the watching, and nothing else."""
        try:
            look()
        except Exception as fault:
            self._broken = True
            self._waiting.clear()
            self._say(f"watching has stopped: {type(fault).__name__}: {fault}")

    def _send(self) -> None:
        if self._sender is not None and self._spans.ready:
            ready, self._spans.ready = self._spans.ready, []
            self._sender.offer(ready)

    def _settle(self) -> None:
        """Prompts end a while after their last word, though nothing more is recorded."""
        assert self._loop is not None, "it was started"
        self._guarded(lambda: self._watch.settle(self.clock_us()))
        self._send()
        self._settling = self._loop.call_later(SETTLE_S, self._settle)

    # --- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve and send from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        if self._sender is not None:
            self._sender.start()
        if self._listener is not None:
            self._runner = await _serve(self._listener, self.text)
            host, port = self._listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._say(f"metrics are at http://{shown}:{port}/metrics")
        self._settle()
        self._look_soon()

    async def stop(self) -> None:
        """Send what is left, for a short while, and say what was lost."""
        if self._settling is not None:
            self._settling.cancel()
        while self._waiting:
            self._look(RECORDS_WAITING_MAX)
        self._guarded(self._watch.finish)
        self._send()
        if self._sender is not None:
            await self._sender.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self.unwatched:
            self._say(f"{plural(self.unwatched, 'record')} came too fast to be watched")

    def text(self) -> str:
        """What a scrape gets."""
        self._guarded(lambda: self._watch.settle(self.clock_us()))
        more = dict(self.more())
        more["comfyrec_unwatched_records_total"] = (
            "Records that came too fast to be watched.",
            self.unwatched,
        )
        if self._sender is not None:
            more |= self._sender.counters
        return self.metrics.text(self._watch.live, more)


class _Watched:
    """A sink, and who watches what was written."""

    def __init__(self, sink: Sink, watching: Watching) -> None:
        self._sink, self._watching = sink, watching

    @property
    def next_seq(self) -> int:
        return self._sink.next_seq

    def write(self, records: list[AnyRecord]) -> object:
        written = self._sink.write(records)
        self._watching.take(records)
        return written

    def keep_place(self) -> str:
        return self._sink.keep_place()


@contextlib.contextmanager
def watched(server: ComfyUI, watching: Watching) -> Iterator[None]:
    """A fake server is watched as long as the block runs, by what its journal tells."""
    from comfyrec.testing.journal_records import JournalRecords

    thread, journal = server.handle.thread, server.handle.server.journal
    records, due = JournalRecords(about=_about(server)), False

    def look() -> None:
        nonlocal due
        due = False
        watching.take(records.feed(journal.entries(after=records.serial, whole=True)))

    def look_soon() -> None:
        nonlocal due
        if not due:
            due = True
            thread.loop.call_soon_threadsafe(look)

    last, seen = records.t, time.monotonic()

    def now_us() -> int:
        """Virtual time stands still where nothing is due; prompts end in real time all the same."""
        nonlocal last, seen
        if records.t != last:
            last, seen = records.t, time.monotonic()
        return last + round((time.monotonic() - seen) * 1_000_000)

    watching.clock_us = now_us
    watching.may_ask(lambda prompt_id: server.handle.server.source.ended(prompt_id))
    server.watchers.add(look_soon)
    thread.run(watching.start())
    look_soon()
    try:
        yield
    finally:
        server.watchers.discard(look_soon)
        thread.run(watching.stop())


def _about(server: ComfyUI) -> dict[str, Any]:
    era = server.handle.server.source.facts().get("comfyui_version")
    return {"comfyui_version": era} if isinstance(era, str) else {}


async def _serve(listener: socket.socket, text: Callable[[], str]) -> web.AppRunner:
    from aiohttp import web

    async def scraped(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE, "X-Content-Type-Options": "nosniff"}
        return web.Response(body=text().encode(), headers=headers)

    app = web.Application()
    app.router.add_get("/metrics", scraped)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner


# --- traces -----------------------------------------------------------------------------------


def _headers() -> dict[str, str]:
    """``OTEL_EXPORTER_OTLP_HEADERS``: ``name=value`` pairs with commas, escaped as in addresses."""
    pairs = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
    found = (pair.partition("=") for pair in pairs if "=" in pair)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in found}


class _Sender:
    """Sends export requests to a collector, one after the other."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._url, self._say = url, say
        self._waiting: deque[dict[str, Any]] = deque()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._why = ""
        self.sent = self.lost = 0
        """Spans."""

    @property
    def counters(self) -> dict[str, tuple[str, int]]:
        """For a scrape."""
        return {
            "comfyrec_otlp_spans_sent_total": ("Spans that the collector took.", self.sent),
            "comfyrec_otlp_spans_lost_total": ("Spans that it did not take.", self.lost),
        }

    def start(self) -> None:
        """Send from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, requests: list[dict[str, Any]]) -> None:
        """Send these, or count them as lost where too many wait already."""
        for request in requests:
            if len(self._waiting) >= REQUESTS_WAITING_MAX:
                self.lost += _spans_in(request)
            else:
                self._waiting.append(request)
        self._more.set()

    async def stop(self) -> None:
        """Send what waits, for a short while; say what was lost."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_S), self._session() as session:
                while self._waiting and await self._sent(session):
                    self._waiting.popleft()
        except TimeoutError:
            self._why = self._why or f"it did not answer within {LAST_S:g} s"
        self.lost += sum(map(_spans_in, self._waiting))
        self._waiting.clear()
        if self.lost:
            self._say(f"--otlp {self._url}: {plural(self.lost, 'span')} LOST: {self._why}")

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        limit = aiohttp.ClientTimeout(total=EXPORT_S)
        return aiohttp.ClientSession(timeout=limit, headers=_headers())

    async def _run(self) -> None:
        failures = 0
        async with self._session() as session:
            while True:
                while not self._waiting:
                    self._more.clear()
                    await self._more.wait()
                if await self._sent(session):
                    self._waiting.popleft()
                    failures = 0
                    continue
                if failures == 0:
                    self._say(
                        f"--otlp {self._url}: {self._why}; all else goes on, traces wait for it, "
                        f"and what is lost is counted"
                    )
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _sent(self, session: aiohttp.ClientSession) -> bool:
        """Whether the first request that waits is done with: taken, or refused for good."""
        import aiohttp

        request = self._waiting[0]
        body = json.dumps(request).encode()
        try:
            async with session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer:
                await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as trouble:
            system = getattr(trouble, "os_error", trouble)
            known = getattr(system, "strerror", None) or str(trouble)
            self._why = known or f"no answer within {EXPORT_S:g} s"
            return False
        if answer.status in _AGAIN:
            self._why = f"it answers {answer.status}"
            return False
        if answer.status >= 300:
            self._why = f"it answers {answer.status}"
            self.lost += _spans_in(request)
        else:
            self.sent += _spans_in(request)
        return True


def _spans_in(request: dict[str, Any]) -> int:
    return sum(
        len(scope["spans"])
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
    )
