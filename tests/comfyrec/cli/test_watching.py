"""--metrics and --otlp: counters are scraped, traces arrive, a collector that is down is said."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from comfyrec.cassette.records import AnyRecord
from comfyrec.cli._watch_flags import watched, watching_of
from comfyrec.cli._watching import REQUESTS_WAITING_MAX, Watching
from comfyrec.client.shells.blocking import Client
from comfyrec.errors import ProxyError, UsageError
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from tests.support.json_over_http import post_json
from tests.support.timeline_samples import PROMPT, run, session

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "me"}},
}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def watching(say: Callable[[str], None] = print, **flags: str | None) -> Watching:
    given = {"metrics": None, "otlp": None, **flags}
    found = watching_of(argparse.Namespace(**given), say=say)
    assert found is not None
    return found


class Sink:
    """Where a recorder writes."""

    next_seq = 0

    def write(self, records: list[AnyRecord]) -> None:
        self.next_seq += len(records)

    def keep_place(self) -> str:
        return ""


class Collector:
    """Takes traces, or answers with a status."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.got = list(statuses), [dict[str, Any]()][:0]
        self.headers: list[Any] = []

    async def take(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.got.append(await request.json())
        return web.Response(status=status, body=b"{}")


async def served(collector: Collector) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def traced(collector: Collector, records: list[AnyRecord]) -> list[str]:
    """Send the traces of a recording; what was said."""

    async def play() -> list[str]:
        said: list[str] = []
        runner, url = await served(collector)
        watcher = watching(said.append, otlp=url)
        await watcher.start()
        watcher.behind(Sink()).write(records)
        await watcher.stop()
        await runner.cleanup()
        return said

    return asyncio.run(play())


def spans_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    return list(request["resourceSpans"][0]["scopeSpans"][0]["spans"])


def test_a_prompt_that_ended_is_traced() -> None:
    collector = Collector()

    said = traced(collector, run(session()).records)

    (request,) = collector.got
    names = [span["name"] for span in spans_of(request)]
    assert names == ["prompt", "queue wait", "SaveImage"]
    assert {span["traceId"] for span in spans_of(request)} == {PROMPT.replace("-", "")}
    assert said == []


def test_the_trace_of_the_caller_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, x-more=2")
    recording = run(session())
    post = next(r for r in recording.records if getattr(r, "head", b"").startswith(b"POST"))
    head = f"\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=1\r\n\r\n".encode()
    place = recording.records.index(post)
    recording.records[place] = replace(post, head=post.head[:-4] + head)  # type: ignore[union-attr]
    collector = Collector()

    traced(collector, recording.records)

    whole = spans_of(collector.got[0])[0]
    assert (whole["traceId"], whole["parentSpanId"], whole["traceState"]) == (TRACE, SPAN, "a=1")
    assert (collector.headers[0]["x-key"], collector.headers[0]["x-more"]) == ("a b", "2")


def test_a_collector_that_refuses_is_said_with_what_was_lost() -> None:
    said = traced(Collector(400), run(session()).records)

    assert len(said) == 1 and "3 spans LOST: it answers 400" in said[0]


def test_a_collector_that_is_down_costs_its_traces_and_nothing_else() -> None:
    said: list[str] = []

    async def play() -> Sink:
        watcher, sink = watching(said.append, otlp="http://127.0.0.1:9"), Sink()
        await watcher.start()
        watcher.behind(sink).write(run(session()).records)
        await watcher.stop()
        return sink

    sink = asyncio.run(play())

    assert sink.next_seq == len(run(session()).records)
    assert any("3 spans LOST: Connect" in sentence for sentence in said)


@pytest.mark.slow
def test_traces_that_nobody_takes_are_bounded() -> None:
    recording = session()
    for number in range(REQUESTS_WAITING_MAX + 10):
        run(recording, prompt_id=f"p{number}", conn=10 + number, number=number)
    watcher = watching(otlp="http://127.0.0.1:9")
    watcher.take(recording.records)

    while watcher._waiting:
        watcher._look()

    assert watcher._sender is not None
    assert len(watcher._sender._waiting) == REQUESTS_WAITING_MAX
    assert watcher._sender.lost > 0


def test_counters_are_scraped_while_a_server_is_watched() -> None:
    said: list[str] = []
    watcher = watching(said.append, metrics="127.0.0.1:0")
    server = ComfyUI(PluginSettings(seed=1))

    async def scrape() -> tuple[str, str]:
        url = said[0].split()[-1]
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.headers["Content-Type"], await answer.text()

    with watched(server, watcher):
        with Client(server.url) as client:
            client.run(GRAPH)
        server.handle.call(watcher._watch.finish)
        kind, text = asyncio.run(scrape())
    server.close()

    assert kind.startswith("text/plain; version=0.0.4")
    assert 'comfyui_prompts_total{outcome="success"} 1\n' in text
    assert 'comfyui_node_seconds_count{class_type="SaveImage"} 1\n' in text
    assert 'comfyui_sockets_closed_total{how="clean"} 1\n' in text


def test_a_fault_of_ours_ends_the_watching_and_nothing_else() -> None:
    said: list[str] = []
    watcher, sink = watching(said.append, otlp="http://127.0.0.1:9"), Sink()
    watcher._watch.take = None  # type: ignore[assignment,method-assign]
    behind = watcher.behind(sink)

    behind.write(session().records)
    watcher._look()
    behind.write(session().records)

    assert said == ["watching has stopped: TypeError: 'NoneType' object is not callable"]
    assert sink.next_seq == 2 * len(session().records)


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://x", "http://", "http://[::1"])
def test_what_is_no_address_of_a_collector_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"--otlp .* is not the address of a collector"):
        watching(otlp=url)


def test_an_address_that_is_taken_or_wrong_is_said_with_its_flag() -> None:
    with pytest.raises(UsageError, match="--metrics 'x' is not an address"):
        watching(metrics="x")
    with pytest.raises(ProxyError, match=r"--metrics 192\.0\.2\.1:1: "):
        watching(metrics="192.0.2.1:1")


@pytest.mark.parametrize("client_id", [None, "nobody"])
def test_a_prompt_whose_end_nobody_was_told_has_ended_all_the_same(client_id: str | None) -> None:
    watcher = watching(metrics="127.0.0.1:0")
    server = ComfyUI(PluginSettings(seed=1))
    body = {"prompt": GRAPH} | ({} if client_id is None else {"client_id": client_id})

    with watched(server, watcher):
        post_json(f"{server.url}/prompt", body)
        clock, success = watcher.clock_us, 'comfyui_prompts_total{outcome="success"} 1\n'
        watcher.clock_us = lambda: clock() + 2_000_000
        texts = (server.handle.call(watcher.text) for _ in range(5_000))
        text = next(text for text in texts if success in text)
    server.close()

    assert "comfyui_prompts_under_way 0\n" in text
